"""What a measurement was made with: in words, without names of hosts or folders."""

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

from hspec.experiments.provenance import git_revision, machine_name

PACKAGES = (
    "hspec",
    "torch",
    "numpy",
    "scipy",
    "pyhessian",
    "curvlinops-for-pytorch",
    "hessian-eigenthings",
)


def provenance(device) -> dict:
    """Date, machine, load, versions and revision of a measurement that ends now."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine_name(device),
        "load": round(os.getloadavg()[0], 1),
        "revision": git_revision() or "unknown",
        "versions": {"python": platform.python_version()}
        | {name: installed_version(name) for name in PACKAGES},
    }


def installed_version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
