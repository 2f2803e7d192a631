"""P18-3: whether H's spectrum follows a power law or a semicircle,
and whether the fit can tell them apart.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hspec.experiments.claims import OUTCOMES, Verdict, both, finding, judge
from hspec.experiments.fits import LAWS, Fit, branch, fit, halves
from hspec.experiments.records import Record
from hspec.experiments.scale import net_name
from hspec.experiments.uncertainty import ONE_NET, marked
from hspec.statistics import mean_and_interval
from hspec.words import counted

FOLLOWS = 0.1  # Kolmogorov-Smirnov distance up to which a law is said to describe the branch
SAME = 0.5  # exponents of the two halves of a window that differ by less are called one
SIGNS = {"positive": 1, "negative": -1}
IMAGES = {"train": "training", "test": "test"}


def branch_fits(record: Record) -> dict[str, dict[str, Fit]]:
    """{"positive" and "negative": {law: its fit}}."""
    measure = record.spectrum("h_")
    branches = {name: branch(measure, sign) for name, sign in SIGNS.items()}
    return {name: {law: fit(law, of) for law in LAWS} for name, of in branches.items()}


def verdict_power_law(record: Record, controls: list[Record]) -> list[Verdict]:
    """Which law is nearer to each branch of H, how near, and whether one exponent is enough.

    The controls are matrices of known law: where one of them is taken for the other law, nothing is
    decided.
    """
    sound = all(recognised(control) for control in controls)
    rows = []
    for name, fits in branch_fits(record).items():
        rows += [_branch(name, fits, sound), _straight(record, name)]
    return rows


def recognised(record: Record) -> bool:
    """Whether a matrix of known law is nearer to its own law on both branches."""
    return all(nearest(fits) == record.options["law"] for fits in branch_fits(record).values())


def _branch(name: str, fits: dict[str, Fit], sound: bool) -> Verdict:
    power, circle = fits["power law"], fits["semicircle"]
    agreed = np.unique(power.distances < circle.distances).size == 1  # every probe says the same
    if not sound:
        judged = OUTCOMES[2], "a control of known law was taken for the other law"
    elif not agreed:
        judged = OUTCOMES[2], "the probes disagree about which law is nearer"
    else:
        judged = both(judge(power.distance, circle.distance), judge(power.distance, FOLLOWS))
    return Verdict(
        "P18-3",
        f"H, {name} branch: Kolmogorov-Smirnov distances; exponent of the power law",
        f"{_distances(fits)}; a = {exponent(power)}",
        over_probes(power),
        f"the power law is nearer, at most {FOLLOWS:g} away, a threshold of ours",
        *judged,
    )


def half_fits(record: Record, name: str) -> tuple[Fit, Fit] | None:
    """The power law fitted to either half of a branch's window by itself, lower first;
    None if too short.
    """
    both = halves(record.spectrum("h_"), SIGNS[name])
    return both and tuple(fit("power law", half) for half in both)


def half_exponents(record: Record, name: str) -> tuple[str, str, float]:
    """The exponents of the two halves as text, and their difference (NaN where there are
    too few nodes).
    """
    both = half_fits(record, name)
    if both is None:
        return "too few nodes", "too few nodes", float("nan")
    return exponent(both[0]), exponent(both[1]), both[1].parameter - both[0].parameter


def _straight(record: Record, name: str) -> Verdict:
    lower, upper, difference = half_exponents(record, name)
    probes = over_probes(branch_fits(record)[name]["power law"])
    return Verdict(
        "P18-3",
        f"H, {name} branch: exponent a in the lower and in the upper half of the window",
        f"{lower}; {upper}",
        probes,
        f"one exponent: they differ by at most {SAME:g}, a threshold of ours",
        *judge(abs(difference), SAME),
    )


def across_scales(records: Sequence[Record]) -> str:
    """Both laws' distances, the exponent and the length of the window in each net."""
    if len(records) < 2:
        return ""
    told = []
    for record in records:
        window = branch(record.spectrum("h_"), SIGNS["positive"]).size
        power, circle = (branch_fits(record)["positive"][law] for law in LAWS)
        images = f"{record.num_examples:,} {IMAGES[record.options['split']]} images"
        told.append(
            f"{net_name(record)} ({record.setting.dataset}, {images}) {power.distance:.3f} and "
            f"{circle.distance:.3f}, $a = {power.parameter:.2f}$ over "
            f"{np.log10(window[-1] / window[0]):.1f} decades"
        )
    return (
        "The distances of the nearest power law and of the nearest semicircle from the positive "
        f"branch of $H$: {'; '.join(told)}."
    )


def nearest(fits: dict[str, Fit]) -> str:
    """The law of least distance."""
    return min(fits, key=lambda law: fits[law].distance)


def _distances(fits: dict[str, Fit]) -> str:
    return ", ".join(f"{law} {one.distance:.3f}" for law, one in fits.items())


def exponent(power: Fit) -> str:
    """The fitted a, with the 95 % interval over probes where there are two or more."""
    mean, half = mean_and_interval(power.parameters)
    return marked("probe", power.parameter, mean - half, mean + half)


def over_probes(power: Fit) -> tuple[str, ...]:
    return counted(len(power.parameters), "probe"), ONE_NET


def findings(record: Record, controls: list[Record]) -> list[str]:
    """In this run: the two distances of both branches and what became of the controls; then the
    exponents.
    """
    near, straight = np.reshape(verdict_power_law(record, controls), (2, 2)).T
    fits = branch_fits(record)
    known = sum(map(recognised, controls))
    halved = {name: half_exponents(record, name)[:2] for name in fits}
    return [
        finding(
            "The nearest power law and the nearest semicircle (Kolmogorov-Smirnov) are "
            + "; ".join(
                f"{of['power law'].distance:.3f} and {of['semicircle'].distance:.3f} from the "
                f"{name} branch of $H$"
                for name, of in fits.items()
            )
            + f", over {IMAGES[record.options['split']]} images. "
            f"Of {len(controls)} matrices of known law {known} were taken for what they are.",
            *near,
        ),
        finding(
            "In the lower and the upper half of its window alone, the exponent $a$ is "
            + "; ".join(
                f"{lower.partition(' (')[0]} and {upper.partition(' (')[0]} on the {name} branch"
                for name, (lower, upper) in halved.items()
            )
            + ".",
            *straight,
        ),
    ]
