"""The papers' nets: printed numbers beside measured ones, and what is stored of each net."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from hspec.experiments.experiment import Experiment
from hspec.experiments.records import Record
from hspec.experiments.store import Store
from hspec.figures.tables import said, table, tabulated, typeset
from hspec.papers.net import PublishedNet
from hspec.papers.nets import PUBLISHED_NETS, Comparison, compared
from hspec.papers.small_samples import VGG11_NUMBERS
from hspec.papers.updates import EPOCHS, LADDER, MOMENT, STOPPED, growth, narrow_net
from hspec.training import PUBLISHED_EPOCHS

if TYPE_CHECKING:
    from IPython.display import Markdown

WAITING, RUNNING = "not measured yet", "running"
SAME_TRAINING = 1e-2  # relative: eigenvalues of one net are found to far less


def published_table(net: PublishedNet, store: Store | None = None) -> Markdown:
    """One row a printed number: quantity, published, measured, their ratio; below,
    how far they are apart. A sentence where nothing is measured yet.
    """
    found = compared(net, store)
    if all(np.isnan(row.measured) for row in found):
        return said(f"{net.title}: {WAITING}. Printed: {net.source}.")
    rows = [
        {
            "quantity": row.quantity,
            "published": row.published,
            "measured": WAITING if np.isnan(row.measured) else row.measured,
            "measured / published": None if np.isnan(row.ratio) else row.ratio,
        }
        for row in found
    ]
    drawn = table(
        tabulated(rows, {"published": ".4g", "measured": ".4g", "measured / published": ".3g"})
    )
    rate = _rate(net, store)
    share = f"{rate:.1%}" if rate else "none"
    fit = "" if rate is None else f" As it is used, it misclassifies {share} of its images."
    told = f"{net.title}; printed: {net.source}. {_apart(found)}{fit}"
    return said(f"{drawn.data}\n\n{told}".rstrip())


def _rate(net: PublishedNet, store: Store | None) -> float | None:
    """The share of its own images that the net misclassifies; None where no record says."""
    records = [record for record in net.records(store).values() if record is not None]
    return next((record.error_rate for record in records if "error_rate" in record), None)


def which_is_nearer(one: PublishedNet, other: PublishedNet, store: Store | None = None) -> Markdown:
    """Of two nets with the same printed numbers, to which of them each number is nearer, in ratio.

    A sentence; "" until both are measured.
    """
    pairs = zip(compared(one, store), compared(other, store), strict=True)
    sizes = {
        mine.quantity: (abs(np.log(abs(mine.ratio))), abs(np.log(abs(its.ratio))))
        for mine, its in pairs
        if np.isfinite(mine.ratio) and np.isfinite(its.ratio)
    }
    if not sizes:
        return said("")
    nearer = [quantity for quantity, (mine, its) in sizes.items() if mine < its]
    farther = [typeset(quantity) for quantity in sizes if quantity not in nearer]
    names = (net.title.rpartition(", ")[2] for net in (one, other))
    told = (
        "Of the {} printed numbers {} are nearer, in ratio, to those of {} than to those of {}{}."
    )
    others = f"; not so {', '.join(farther)}" if nearer and farther else ""
    return said(told.format(len(sizes), len(nearer), *names, others))


def _apart(rows: Sequence[Comparison]) -> str:
    """How far the measured numbers are from the printed ones: the range of the ratios' sizes,
    and other signs.
    """
    ratios = np.array([row.ratio for row in rows if np.isfinite(row.ratio)])
    if not len(ratios):
        return ""
    sizes, opposite = np.abs(ratios), int((ratios < 0).sum())
    signs = f"; {opposite} of {len(ratios)} have the other sign" if opposite else ""
    return (
        f"In size, measured over published lies between {sizes.min():.2g} and "
        f"{sizes.max():.2g}{signs}."
    )


# What does not change where a net is scaled: a number over another.
SHAPES = {
    "A1's largest / Hess's": ("largest of A1", "λ_1(Hess)"),
    "B1's largest / A1's": ("largest of B1", "largest of A1"),
    "H's largest / 10th of Hess": ("largest of H", "λ_10(Hess)"),
}


def trained_twice(store: Store | None = None) -> Markdown:
    """Of nets that were trained once for who owns the outliers and again for what the class means
    make of them, from the same seed: the largest eigenvalue of G in either training, and how far
    the first C are apart. A sentence; "" where no net is another one.
    """
    told = []
    for net in PUBLISHED_NETS.values():
        found = net.records(store)
        pair = found.get("ownership"), found.get("class-means")
        if any(record is None for record in pair):
            continue
        once, again = (record["g_top"][: record.num_classes] for record in pair)
        apart = np.exp(np.abs(np.log(again / once)).max())
        if apart > 1 + SAME_TRAINING:
            told.append(
                f"{once[0]:.3g} and {again[0]:.3g} in {net.title}, where of the first "
                f"{len(once)} the two are up to a factor of {apart:.2f} apart"
            )
    if not told:
        return said("")
    return said(
        "Who owns the outliers, and what the means make of them, was measured in two runs, and the "
        "nets were trained anew for it, from the same seed. Another processor, or another number "
        "of threads, rounds sums differently, and hundreds of updates make of that another net. "
        f"$\\lambda_1(G)$ is {'; '.join(told)}. A difference of that size between two "
        "chapters' numbers of such a net says nothing else."
    )


def shapes_table(store: Store | None = None) -> Markdown:
    """Who makes the outliers: ratios of the printed numbers, and of those of each net that was
    measured beside them; below, for each ratio, which net comes nearest.
    """
    nets = [PUBLISHED_NETS[name] for name in ("vgg11-merged", "vgg11-left-over")]
    nets += [narrow_net(stretch) for stretch in LADDER]
    rows = [{"net": "printed", **_shapes({n.quantity: n.value for n in VGG11_NUMBERS})}]
    for net in nets:
        found = {row.quantity: row.measured for row in compared(net, store)}
        if any(np.isfinite(value) for value in found.values()):
            title = net.title.replace(", CIFAR-10, 13 images per class", "")
            rows.append({"net": title, **_shapes(found), "misclassified": _rate(net, store)})
    drawn = table(tabulated(rows, dict.fromkeys(SHAPES, ".2g") | {"misclassified": ".0%"}))
    return said(f"{drawn.data}\n\n{_nearest_shapes(rows)}".rstrip())


def _shapes(found: Mapping[str, float]) -> dict[str, float | None]:
    ratios = {name: found[top] / found[bottom] for name, (top, bottom) in SHAPES.items()}
    return {name: ratio if np.isfinite(ratio) else None for name, ratio in ratios.items()}


def _nearest_shapes(rows: Sequence[Mapping]) -> str:
    printed, *measured = rows
    told = []
    for name in SHAPES:
        known = [row for row in measured if row[name] is not None]
        if known:
            net = min(known, key=lambda row: abs(np.log(row[name] / printed[name])))
            told.append(
                f"{name}: {net['net']}, {net[name] / printed[name]:.3g} times what is printed"
            )
    return f"Nearest to the printed ratios are, for {typeset('; for '.join(told))}." if told else ""


def updates_table(store: Store | None = None) -> Markdown:
    """The printed numbers of VGG11 beside those of the narrow net, trained by more and more
    updates; below, λ_1(Hess) of each.
    """
    found = {stretch: compared(narrow_net(stretch), store) for stretch in LADDER}
    waiting = [str(s) for s, rows in found.items() if all(np.isnan(row.measured) for row in rows)]
    columns = {
        "quantity": [number.quantity for number in VGG11_NUMBERS],
        "published": [number.value for number in VGG11_NUMBERS],
        **{str(s): _measured(rows) for s, rows in found.items() if str(s) not in waiting},
    }
    drawn = table(tabulated(columns, dict.fromkeys(list(columns)[1:], ".4g")))
    grown = "; ".join(
        f"{stretch}, {rows[0].measured:.4g}"
        for stretch, rows in found.items()
        if np.isfinite(rows[0].measured)
    )
    largest = f"λ₁(Hess), printed {VGG11_NUMBERS[0].value:g}: {grown}. " if grown else ""
    left = f"Not measured yet: {'; '.join(waiting)}." if waiting else ""
    return said(f"{drawn.data}\n\n{largest}{left}".rstrip())


def _measured(rows: Sequence[Comparison]) -> list[float | str]:
    return [WAITING if np.isnan(row.measured) else row.measured for row in rows]


def growth_table(store: Store | None = None) -> Markdown:
    """What weight decay alone predicts for an epoch of 391 updates in place of one, beside
    published over measured of the first printed number that is stored, for the two nets that
    numbers were printed of.
    """
    rows = []
    for key, epoch in (("vgg11-merged", MOMENT), ("resnet18", EPOCHS)):
        net = PUBLISHED_NETS[key]
        setting = net.experiments[net.numbers[0].experiment].setting
        found = compared(net, store)
        first = next((row for row in found if np.isfinite(row.ratio)), found[0])
        rows.append(
            {
                "net": net.title,
                "published / measured": 1 / first.ratio,
                "of": first.quantity,
                "by weight decay": growth(setting.recipe, 10 * setting.per_class, epoch),
            }
        )
    return table(tabulated(rows, {"published / measured": ".3g", "by weight decay": ".3g"}))


def stopped_table() -> Markdown:
    """Released nets that ended early: their images, the updates of a pass over them,
    and the last epoch.
    """
    rows = [
        {
            "net": each.net,
            "data": each.dataset,
            "images": each.num_examples,
            "mini-batches a pass": each.updates // each.epoch,
            "last epoch": each.epoch,
            "of": PUBLISHED_EPOCHS[each.dataset],
            "updates, were an epoch a pass": each.updates,
        }
        for each in STOPPED
    ]
    return table(tabulated(rows, {"images": ",", "updates, were an epoch a pass": ","}))


def stored_nets(store: Store | None = None) -> Markdown:
    """One row an experiment on a published net: what is stored, at what cost,
    or that it is running or waiting.
    """
    store = store or Store()
    claims = store.claims()
    rows = [
        {
            "net": net.title,
            "command": f"`hspec measure {key} {name}`",
            "cost (1e15 operations, all)": net.cost / 1e15,
            **_state(net.experiments[name], record, claims),
        }
        for key, net in PUBLISHED_NETS.items()
        for name, record in net.records(store).items()
    ]
    return table(tabulated(rows, {"cost (1e15 operations, all)": ".2g", "seconds": ".0f"}))


def _state(
    experiment: Experiment, record: Record | None, claims: Mapping[str, str]
) -> dict[str, object]:
    if record is None:
        running = "stale" not in claims.get(experiment.name, "stale")
        return {"measured": RUNNING if running else WAITING, "seconds": None, "device": None}
    meta = record.meta
    return {
        "measured": meta["written"][:10],
        "seconds": meta["seconds"],
        "device": record.device,
    }
