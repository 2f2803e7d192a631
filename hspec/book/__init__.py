"""The book's machinery: run the chapters, stage them, build the pages.

    chapter notebook ──papermill──► staged page ──jupyter-book──► _build/html

Nothing here computes or draws: a chapter calls `hspec.experiments` and `hspec.figures` for that.
"""

from hspec.extras import need

need("hspec.book", "nbclient", "nbformat", "papermill", "yaml")


from hspec.book.building import make_book
from hspec.book.errors import BookError
from hspec.book.pages import chapter_states, status_text
from hspec.book.repository import PROFILES, Repository
from hspec.book.running import run_notebook

__all__ = [
    "PROFILES",
    "BookError",
    "Repository",
    "chapter_states",
    "make_book",
    "run_notebook",
    "status_text",
]
