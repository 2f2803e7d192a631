"""Tables and one-line notes that notebooks show under their figures, as Markdown."""

from __future__ import annotations

import base64

import pandas as pd
from IPython.display import HTML, Markdown

from hspec.experiments import CLAIMS, Record, Verdict

MARKS = {"holds": "✓ holds", "fails": "✗ fails", "inconclusive at this scale": "? inconclusive at this scale"}


def table(frame: pd.DataFrame) -> Markdown:
    """A data frame as a Markdown table; its index is not shown."""
    cells = [[str(name) for name in frame.columns], ["---"] * frame.shape[1]]
    cells += [[str(value) for value in row] for row in frame.itertuples(index=False)]
    return Markdown("\n".join("| " + " | ".join(c.replace("|", "\\|") for c in row) + " |" for row in cells))


def verdict_table(verdicts: list[Verdict]) -> Markdown:
    """What this run says of the chapter's claims."""
    return table(
        pd.DataFrame(
            {
                "claim": f"**{v.claim}** {CLAIMS[v.claim]}",
                "measured": v.quantity,
                "value": v.value,
                "holds if": v.criterion,
                "in this run": f"**{MARKS[v.outcome]}**",
            }
            for v in verdicts
        )
    )


def scale_note(records: list[Record]) -> Markdown:
    """What was measured, on what, and how long it took: one row for each net, data set and sample."""
    facts = pd.DataFrame(_scale(record) for record in records)
    same = ["net", "parameters", "data", "examples", "device"]
    rows = facts.groupby(same, sort=False, as_index=False).agg(
        records=("seconds", "size"), seconds=("seconds", "sum"), measured=("measured", "max")
    )
    return table(rows.assign(seconds=rows["seconds"].round().astype(int)))


def _scale(record: Record) -> dict[str, object]:
    setting, meta = record.setting, record.meta
    return {
        "net": f"{setting.model}, width {setting.width:g}",
        "parameters": f"{record.num_parameters:,}",
        "data": setting.dataset,
        "examples": f"{record.num_examples:,}",
        "device": meta["device"],
        "seconds": meta["seconds"],
        "measured": meta["written"][:10],
    }


def download(frame: pd.DataFrame, filename: str) -> HTML:
    """A link that saves the numbers behind a figure as CSV; they travel inside the page."""
    content = base64.b64encode(frame.to_csv(index=False).encode()).decode()
    return HTML(
        f'<a download="{filename}" href="data:text/csv;base64,{content}">Download the numbers: {filename}</a>'
    )
