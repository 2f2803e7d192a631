"""What the core goes without: a part that needs more says so in one sentence,
with the remedy."""

from importlib.util import find_spec


class MissingExtra(ImportError):
    """A part was asked for whose packages are not installed;
    the message names them and the remedy.
    """


def need(part: str, *modules: str, extra: str = "book") -> None:
    """Check that a part's own packages are there, before it imports them.

    Args:
        part: Who asks: ``"hspec.data"``.
        *modules: Names as they are imported: ``"sklearn"``. They are looked for, not loaded.
        extra: The extra of ``pyproject.toml`` that brings them.

    Raises:
        MissingExtra: One of them is not installed.

    Example:
        >>> need("hspec.data", "json")
        >>> need("hspec.data", "no_such_package")
        Traceback (most recent call last):
        hspec.extras.MissingExtra: hspec.data needs no_such_package: pip install 'hspec[book]'
    """
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise MissingExtra(f"{part} needs {', '.join(missing)}: pip install 'hspec[{extra}]'")
