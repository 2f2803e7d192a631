"""Where everything of a clone lies, and what its table of contents and its profiles say."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any

from hspec.book.errors import BookError
from hspec.book.plain_yaml import read_yaml

PROFILES = ("smoke", "laptop", "paper")


@dataclass(frozen=True)
class Repository:
    """A clone of the project, by its root folder."""

    root: Path

    @classmethod
    def find(cls, start: Path | None = None) -> Repository:
        """The clone that holds `start` (default: the current folder).

        Raises BookError outside a clone.
        """
        start = Path(start or Path.cwd()).resolve()
        for folder in (start, *start.parents):
            if (folder / "book" / "_toc.yml").is_file() and (folder / "_config.yml").is_file():
                return cls(folder)
        raise BookError(
            f"{start} is not inside a clone of the book. Change into the clone and try again."
        )

    @property
    def book(self) -> Path:
        return self.root / "book"

    @property
    def build(self) -> Path:
        return self.root / "_build"

    @property
    def index(self) -> Path:
        """The page to open."""
        return self.build / "html" / "index.html"

    def source(self, chapter: str) -> Path:
        """The chapter's notebook as committed, without outputs."""
        return self.root / "notebooks" / f"{chapter}.ipynb"

    def staged(self, chapter: str) -> Path:
        """The chapter's notebook as last run, from which its page is made."""
        return self.book / "notebooks" / f"{chapter}.ipynb"

    def chapters(self) -> list[str]:
        """Names of the notebooks in the table of contents, in reading order.

        Raises BookError if one of them has no file.
        """
        toc = read_yaml(self.book / "_toc.yml")
        pages = [Path(str(page)) for page in _files(toc)]
        names = [page.name for page in pages if page.parts[:1] == ("notebooks",)]
        for name in names:
            if not self.source(name).is_file():
                raise BookError(
                    f"book/_toc.yml lists notebooks/{name}, but notebooks/{name}.ipynb does not "
                    "exist. "
                    "Add the notebook or take the line out."
                )
        return names

    def profile(self, name: str) -> dict[str, dict[str, Any]]:
        """{chapter: {parameter: value}} of book/profiles/{name}.yaml, one entry for each chapter.

        Raises BookError if the profile and the table of contents name different chapters.
        """
        path = self.book / "profiles" / f"{name}.yaml"
        if not path.is_file():
            raise BookError(f"There is no profile {name!r}. Profiles: {', '.join(PROFILES)}.")
        profile, chapters = read_yaml(path), self.chapters()
        missing, unknown = (
            sorted(set(chapters) - set(profile)),
            sorted(set(profile) - set(chapters)),
        )
        if missing or unknown:
            raise BookError(
                f"book/profiles/{name}.yaml does not fit the table of contents: "
                f"missing {missing}, unknown {unknown}.\n"
                "  A profile has one entry for each notebook; {} stands for the notebook's own "
                "defaults."
            )
        for chapter, values in profile.items():
            if not isinstance(values, dict | NoneType):
                raise BookError(
                    f"book/profiles/{name}.yaml, {chapter}: write its parameters as name: value, "
                    f"not {values!r}"
                )
        return {chapter: profile[chapter] or {} for chapter in chapters}


def _files(node):
    """Every `file:` (and the `root:`) of a table of contents, in order."""
    if isinstance(node, list):
        return [page for item in node for page in _files(item)]
    if not isinstance(node, dict):
        return []
    here = [node[key] for key in ("root", "file") if key in node]
    return here + [page for value in node.values() for page in _files(value)]
