"""Where a number came from: versions, revision, device."""

from __future__ import annotations

import os
import platform
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path

import torch

PACKAGE = Path(__file__).resolve().parents[1]
RECORDED_PACKAGES = ("hspec", "torch", "torchvision", "numpy", "scipy", "scikit-learn")


@cache
def package_versions(packages: tuple[str, ...] = RECORDED_PACKAGES) -> dict[str, str]:
    """{package: version}, Python first."""
    return {"python": platform.python_version()} | {name: version(name) for name in packages}


@cache
def git_revision(folder: Path = PACKAGE) -> str | None:
    """Short hash of the checked-out commit, with "+changes" where ``folder`` differs from it;
    None outside git.
    """
    revision = git(folder, "rev-parse", "--short=12", "HEAD")
    return revision and revision + (
        "+changes" if git(folder, "status", "--porcelain", "--", ".") else ""
    )


def git(folder: Path, *arguments: str) -> str | None:
    """What a git command says in ``folder``; None where there is no git,
    no repository or no answer.
    """
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def device_name(device: torch.device, num_ranks: int = 1) -> str:
    """The GPU's model, or the CPU and its threads; and how many processes had one each."""
    count = torch.get_num_threads()
    name = f"CPU, {count} thread{'' if count == 1 else 's'}"
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    return name if num_ranks == 1 else f"{num_ranks} ranks, each {name}"


def machine_name(device: torch.device | str) -> str:
    """The GPU's model, or the CPU's: "2 cores of an AMD EPYC 7B13 64-Core Processor, AVX2"."""
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    instructions = torch.backends.cpu.get_cpu_capability()
    count = torch.get_num_threads()
    return f"{count} core{'' if count == 1 else 's'} of an {_cpu_model()}, {instructions}"


def machine() -> str:
    """Where something runs: "2 cores of an AMD EPYC 7B13 64-Core Processor, AVX2,
    24 GiB of memory".
    """
    return f"{machine_name(default_device())}, {memory() / 2**30:.0f} GiB of memory"


def memory() -> int:
    """Bytes of main memory of this machine; 0 where the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 0


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0].replace("(R)", "") if names else platform.machine()


def default_device() -> torch.device:
    """The first GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
