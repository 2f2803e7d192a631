"""Maps of class means and cross-class means in the plane."""

from __future__ import annotations

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke

from hspec.experiments import Record

HALO = [withStroke(linewidth=2.5, foreground="white")]
MOST_LABELS = 12  # classes; with more, only the class means are labelled


def class_colours(count: int) -> list:
    """One colour a class: dark enough for numerals on white up to ten,
    beyond that around the colour circle.
    """
    return sns.color_palette("dark", count) if count <= 10 else sns.color_palette("husl", count)


def draw_map(axis: Axes, record: Record, places: np.ndarray) -> None:
    """The class means as large discs with their class c,
    the cross-class means as their c' in the colour of c.
    """
    count = record.num_classes
    colours, crossings = class_colours(count), places[count:]
    disc, letters = (15, 11) if count <= MOST_LABELS else (7, 6)
    if count <= MOST_LABELS:
        for true, other, place in zip(
            record["true_class"], record["other_class"], crossings, strict=True
        ):
            axis.text(*place, str(other), color=colours[true], fontsize=8, ha="center", va="center")
    else:
        axis.scatter(*crossings.T, s=1.5, c=[colours[c] for c in record["true_class"]])
    for c, place in enumerate(places[:count]):
        axis.plot(
            *place, "o", color=colours[c], markersize=disc, alpha=0.45, markeredgecolor="white"
        )
        axis.text(
            *place,
            str(c),
            fontsize=letters,
            weight="bold",
            ha="center",
            va="center",
            path_effects=HALO,
        )
    low, high = places.min(0), places.max(0)
    margin = 0.06 * (high - low)
    axis.set_xlim(low[0] - margin[0], high[0] + margin[0])
    axis.set_ylim(low[1] - margin[1], high[1] + margin[1])
    axis.set_xticks([])
    axis.set_yticks([])
