"""Where a number came from: versions, revision, device."""

from __future__ import annotations

import platform
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path

import torch

RECORDED_PACKAGES = ("hspec", "torch", "torchvision", "numpy", "scipy", "scikit-learn")


@cache
def package_versions() -> dict[str, str]:
    return {"python": platform.python_version()} | {name: version(name) for name in RECORDED_PACKAGES}


@cache
def git_revision() -> str | None:
    """Short hash of the checked-out commit, with "+changes" where the package differs from it; None outside git."""
    package = Path(__file__).resolve().parents[1]

    def git(*arguments):
        done = subprocess.run(
            ["git", "-C", str(package), *arguments], capture_output=True, text=True, check=False
        )
        return done.stdout.strip() if done.returncode == 0 else None

    try:
        revision = git("rev-parse", "--short=12", "HEAD")
    except FileNotFoundError:  # git itself is not installed
        return None
    return revision and revision + ("+changes" if git("status", "--porcelain", "--", str(package)) else "")


def device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {torch.get_num_threads()} threads"


def default_device() -> torch.device:
    """The first GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
