"""Where data sets live."""

import os
from pathlib import Path

_REPOSITORY = Path(__file__).resolve().parents[2]


def data_root(root: str | Path | None = None) -> Path:
    """Folder of the data sets: `root` if given, else the environment variable HSPEC_DATA, else
    `data/`.

    `data/` is the repository's when hspec runs from a clone, and the current folder's otherwise.

    Example:
        >>> data_root("/disk/data").name
        'data'
    """
    if root is not None:
        return Path(root).expanduser()
    if os.environ.get("HSPEC_DATA"):
        return Path(os.environ["HSPEC_DATA"]).expanduser()
    in_clone = (_REPOSITORY / "pyproject.toml").is_file()
    return (_REPOSITORY if in_clone else Path.cwd()) / "data"


def download_allowed(download: bool | None) -> bool:
    """Downloads happen only when asked for: by the argument, or by HSPEC_DOWNLOAD=1."""
    return os.environ.get("HSPEC_DOWNLOAD") == "1" if download is None else download
