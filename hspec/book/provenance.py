"""Which code and which packages made a page. No host names, no folders: a page reads the same everywhere."""

import hashlib
import platform
import subprocess
from importlib.metadata import version

PACKAGES = (
    "torch",
    "torchvision",
    "numpy",
    "scipy",
    "scikit-learn",
    "matplotlib",
    "seaborn",
    "pandas",
)


def versions():
    """{package: version} of what a chapter's numbers and pictures can depend on."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def git(root, *arguments):
    """The output of a git command in `root`, or None where there is no git, no repository or no answer."""
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def revision(root):
    """The short git revision, marked `-dirty` when tracked files differ from it; `unknown` outside git."""
    return git(root, "describe", "--always", "--dirty", "--exclude=*") or "unknown"


def digest(*parts):
    """sha256, in hexadecimal, of texts and of files with their paths, in the given order."""
    total = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part.read_bytes()
        total.update(len(data).to_bytes(8, "big") + data)
    return total.hexdigest()


def files_digest(root, *patterns):
    """sha256 of every file under `root` that matches one of the patterns: relative paths and contents."""
    found = {path for pattern in patterns for path in root.glob(pattern) if path.is_file()}
    kept = sorted(path for path in found if "__pycache__" not in path.parts)
    return digest(*(part for path in kept for part in (path.relative_to(root).as_posix(), path)))
