"""A small table that reads well as text, as HTML and as CSV."""

from __future__ import annotations

import csv
import html
import io
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """Rows of cells under headers; numbers stay numbers in `rows` and in CSV.

    Example:
        >>> print(Table(("matrix", "λ"), (("Hess", 2.34567), ("G", 2.0))))
        matrix  λ
        Hess    2.346
        G       2
    """

    headers: tuple[str, ...]
    rows: tuple[tuple, ...]

    def __str__(self) -> str:
        lines = [self.headers, *(tuple(map(shown, row)) for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in lines
        )

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{html.escape(name)}</th>" for name in self.headers)
        rows = "".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in self.rows)
        # the class by which notebooks and the book's pages know a table of theirs
        return (
            f'<table class="dataframe"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
        )

    def to_csv(self) -> str:
        """The table as comma-separated values, at full precision."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerows([self.headers, *self.rows])
        return text.getvalue()


def shown(cell: object) -> str:
    """A cell in four digits."""
    return f"{cell:.4g}" if isinstance(cell, float) else str(cell)


def _cell(cell: object) -> str:
    """Words at the left, numbers where the page has them."""
    side = ' style="text-align: left"' if isinstance(cell, str) else ""
    return f"<td{side}>{html.escape(shown(cell))}</td>"
