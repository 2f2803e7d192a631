"""A figure as a file in few drawings: its panels are placed once, and it is cropped to what was
found to be drawn.

Matplotlib places the panels of a figure and draws it without ink before every file that it saves;
of many panels that takes longer than the drawing itself.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib as mpl
from matplotlib.figure import Figure

UNPLACED = {"figure.autolayout": False, "figure.constrained_layout.use": False}
# Without the date, the same figure gives the same bytes.
UNDATED = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}


@contextmanager
def laid_out(figure: Figure) -> Iterator[None]:
    """Meanwhile the panels stay where the figure's layout puts them."""
    engine = figure.get_layout_engine()
    if engine is None:
        yield
        return
    engine.execute(figure)
    with mpl.rc_context(UNPLACED):
        figure.set_layout_engine(None)  # "none" would leave one that asks for another drawing
    try:
        yield
    finally:
        figure.set_layout_engine(engine)


def saved(figure: Figure, kind: str, dpi: float | str = "figure") -> bytes:
    """The figure as a file's content, cropped to what is drawn.

    kind: "svg", "pdf", "png"; dpi: of pixels.
    """
    content = io.BytesIO()
    with laid_out(figure):
        box = figure.get_tightbbox().padded(mpl.rcParams["savefig.pad_inches"])
        undated = UNDATED.get(kind)
        figure.savefig(content, format=kind, bbox_inches=box, metadata=undated, dpi=dpi)
    return content.getvalue()


def svg(figure: Figure) -> str:
    """The figure as SVG."""
    return saved(figure, "svg").decode()


def pdf(figure: Figure) -> str:
    """The figure as PDF, its bytes as text: in base 64, as a notebook has them."""
    return base64.b64encode(saved(figure, "pdf")).decode()
