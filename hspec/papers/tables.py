"""The papers' nets: printed numbers beside measured ones, and what is stored of each net."""

from __future__ import annotations

import numpy as np
import pandas as pd
from IPython.display import Markdown

from hspec.experiments.records import Record
from hspec.experiments.store import Store
from hspec.figures.tables import table
from hspec.papers.nets import PUBLISHED_NETS, PublishedNet, compared

WAITING = "not measured yet"


def published_table(net: PublishedNet, store: Store | None = None) -> Markdown:
    """One row a printed number: quantity, published, measured, and their ratio."""
    rows = [
        {
            "quantity": row.quantity,
            "published": f"{row.published:.4g}",
            "measured": WAITING if np.isnan(row.measured) else f"{row.measured:.4g}",
            "measured / published": "" if np.isnan(row.ratio) else f"{row.ratio:.3g}",
        }
        for row in compared(net, store)
    ]
    return table(pd.DataFrame(rows))


def stored_nets(store: Store | None = None) -> Markdown:
    """One row an experiment on a published net: what is stored, at what cost, or that it is still to be measured."""
    rows = [
        {
            "net": net.title,
            "command": f"`hspec measure {key} {name}`",
            "of 1e15 operations, all": f"{net.cost / 1e15:.2g}",
            **_state(record),
        }
        for key, net in PUBLISHED_NETS.items()
        for name, record in net.records(store).items()
    ]
    return table(pd.DataFrame(rows))


def _state(record: Record | None) -> dict[str, str]:
    if record is None:
        return {"measured": WAITING, "seconds": "", "device": ""}
    meta = record.meta
    return {
        "measured": meta["written"][:10],
        "seconds": f"{meta['seconds']:.0f}",
        "device": meta["device"],
    }
