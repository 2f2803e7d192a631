"""What a measurement was made with: in words, without names of hosts or folders."""

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from hspec.experiments.provenance import git_revision

PACKAGES = ("hspec", "torch", "numpy", "scipy", "pyhessian", "curvlinops-for-pytorch", "hessian-eigenthings")


def provenance(device) -> dict:
    """Date, machine, load, versions and revision of a measurement that ends now."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine(device),
        "load": round(os.getloadavg()[0], 1),
        "revision": git_revision() or "unknown",
        "versions": {"python": platform.python_version()}
        | {name: installed_version(name) for name in PACKAGES},
    }


def machine(device) -> str:
    """The GPU's model, or the CPU's: "2 cores of an AMD EPYC 7B13 64-Core Processor, AVX2"."""
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    instructions = torch.backends.cpu.get_cpu_capability()
    return f"{torch.get_num_threads()} cores of an {_cpu_model()}, {instructions}"


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0].replace("(R)", "") if names else platform.machine()


def installed_version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
