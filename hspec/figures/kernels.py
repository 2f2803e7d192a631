"""By what each figure's curves are smoothed: noted where they are drawn, told in the caption."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from matplotlib.axes import Axes
from matplotlib.figure import Figure

_NOTED: WeakKeyDictionary[Figure, dict[str, None]] = WeakKeyDictionary()


def note_kernel(axes: Axes, width: float, unit: str = "") -> None:
    """Remember that a curve on these axes was smoothed by a Gaussian of this standard deviation.

    Args:
        unit: of the width; that of the eigenvalues where it is left out.
    """
    text = f"{width:.2g} {unit}".strip()
    _NOTED.setdefault(axes.figure, {})[text] = None


def kernels(figure: Figure) -> list[str]:
    """What was noted of the figure, in the order of drawing."""
    return list(_NOTED.get(figure, {}))
