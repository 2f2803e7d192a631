"""Which code and which packages made a page. No host names, no folders:
a page reads the same everywhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
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


def files_digest(root: Path, files: Iterable[Path]) -> str:
    """sha256 of files below `root`: their relative paths and contents, in the order of paths."""
    return digest(*(part for f in sorted(files) for part in (f.relative_to(root).as_posix(), f)))
