"""Which code and which packages made a page. No host names, no folders:
a page reads the same everywhere.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from hspec.experiments.provenance import RECORDED_PACKAGES, git_revision, package_versions

# What a chapter's numbers and pictures can depend on; hspec itself is known by its revision and its
# files.
PACKAGES = (*RECORDED_PACKAGES[1:], "matplotlib", "seaborn", "pandas")


def versions() -> dict[str, str]:
    """{package: version}."""
    return package_versions(PACKAGES)


def revision(root: Path) -> str:
    """The short git revision of a clone; `unknown` outside git."""
    return git_revision(root) or "unknown"


def digest(*parts: object) -> str:
    """sha256, in hexadecimal, of texts and of files with their paths, in the given order."""
    total = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part.read_bytes()
        total.update(len(data).to_bytes(8, "big") + data)
    return total.hexdigest()


def files_digest(root: Path, *patterns: str) -> str:
    """sha256 of every file under `root` that matches one of the patterns:
    relative paths and contents.
    """
    found = {path for pattern in patterns for path in root.glob(pattern) if path.is_file()}
    kept = sorted(path for path in found if "__pycache__" not in path.parts)
    return digest(*(part for path in kept for part in (path.relative_to(root).as_posix(), path)))
