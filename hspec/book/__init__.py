"""The book's machinery: run the chapters, stage them, build the pages.

    chapter notebook ──papermill──► staged page ──jupyter-book──► _build/html

Nothing here computes or draws: a chapter calls `hspec.experiments` and `hspec.figures` for that.
What runs a single notebook loads neither of them, nor torch: a wrong parameter is refused at once.
"""

from hspec.extras import need

need("hspec.book", "ipykernel", "jupyter_client", "nbclient", "nbformat", "papermill", "yaml")
