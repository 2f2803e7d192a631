"""What is aimed at, and whether a measurement reached it."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.results import Results, several

HESSIAN = {"a": 1.0, "b": 1.6, "c": 1.9, "r": 2.1, "t": 2.2}  # products over gradients, at most
GAUSS_NEWTON = {"a": 1.2, "b": 1.3, "c": 1.4, "r": 1.4, "t": 1.5}
FASTER_THAN_ALL = 1.0  # quadratures, at least
FASTER_THAN_REORTHOGONALIZED = {"a": 2.0, "b": 2.0}
SHARE_OF_PRODUCTS = 1 / 8
WASSERSTEIN = 1e-4
CLASS_MEANS = {"a": 19.0, "b": 6.0}  # times faster, at least
TO_ERROR = {"a": 10.0, "b": 10.0, "c": 5.0}  # times faster than every peer, at least
EFFICIENCY = 0.9  # of two ranks, at least
SLEEPING = 0.6  # of one worker's seconds, at most


@dataclass(frozen=True)
class Outcome:
    """A figure beside its target; `at_most` says on which side of the target it should lie."""

    figure: str
    net: str
    target: float
    measured: float
    at_most: bool
    note: str = ""

    @property
    def reached(self) -> bool:
        return self.measured <= self.target if self.at_most else self.measured >= self.target


def outcomes(results: Results) -> Iterator[Outcome]:
    """Every target for which there is a measurement."""
    for net, record in results.read("products").items():
        per_gradient = record["result"]["per_gradient"]
        for matrix, targets in (("Hess", HESSIAN), ("G", GAUSS_NEWTON)):
            ratio = per_gradient[f"{matrix}: hspec"]
            note = f"fastest over fastest: {ratio['of_fastest']:.2f}"
            yield Outcome(
                f"{matrix} product / gradient, graphs kept",
                net,
                targets[net],
                ratio["median"],
                True,
                note,
            )
    for net, record in results.read("quadrature").items():
        yield from _quadrature(net, record["result"])
    for net, record in results.read("outliers").items():
        yield _outliers(net, record["result"])
    for net, record in results.read("accuracy").items():
        yield _accuracy(net, record["result"])
    for net, record in results.read("class_means").items():
        faster = record["result"]["times_faster"]
        yield Outcome(
            "class means, times faster than the double loop", net, CLASS_MEANS[net], faster, False
        )
    for net, record in results.read("time_to_error").items():
        yield _time_to_error(net, record["result"])
    for net, record in results.read("parallel").items():
        figure = "two ranks of one thread over one process of two, efficiency"
        yield Outcome(figure, net, EFFICIENCY, record["result"]["efficiency"], False)
    for key, record in results.read("sweeps").items():
        yield _sweep(key, record["result"])


def _quadrature(net: str, result: dict) -> Iterator[Outcome]:
    ratios = {peer: ratio["median"] for peer, ratio in result["over_hspec"].items()}
    figure = "whole quadrature, times faster than the best "
    best = min(ratios, key=ratios.get)
    yield Outcome(figure + "peer", net, FASTER_THAN_ALL, ratios[best], False, best)
    careful = [
        peer for peer in ratios if result["reorthogonalizes"][peer]
    ]  # none, if they are not installed
    if careful and net in FASTER_THAN_REORTHOGONALIZED:
        best = min(careful, key=ratios.get)
        target = FASTER_THAN_REORTHOGONALIZED[net]
        yield Outcome(figure + "that reorthogonalises", net, target, ratios[best], False, best)


def _outliers(net: str, result: dict) -> Outcome:
    ways = {
        "one Lanczos run": result["one_run"],
        "class means, eigsh, bulk": result["eigsh_and_bulk"],
    }
    best = min(ways, key=ways.get)
    share = ways[best] / result["papers"]
    note = f"{ways[best]} of {result['papers']} products, by {best}"
    return Outcome(
        "products for the top C and the bulk / the papers'",
        net,
        SHARE_OF_PRODUCTS,
        share,
        True,
        note,
    )


def _accuracy(net: str, result: dict) -> Outcome:
    errors = result["errors"]["hspec"]
    steps = "90" if "90" in errors else max(errors, key=int)
    mean, sem = mean_and_sem([error["wasserstein"] for error in errors[steps]])
    note = f"± {sem:.1g}, {len(errors[steps])} seeds"
    return Outcome(f"W1 / range at m = {steps}, one probe", net, WASSERSTEIN, mean, True, note)


def _time_to_error(net: str, result: dict) -> Outcome:
    faster = result["times_faster"]
    closest = min(faster, key=faster.get)
    figure = "seconds to the best peer's W1 at m = 90, five probes: times faster than every peer"
    last = result["hspec"][-1]
    said = "".join(f", {name}={value}" for name, value in result.get("settings", {}).items())
    note = (
        f"closest: {closest}; m = {last['num_steps']}, "
        f"{several(last['num_probes'], 'probe')}{said}: "
        f"{last['seconds']:.2g} s, "
        f"{beside_the_steps(result['hspec']):.2g} s of them beside the steps"
    )
    return Outcome(figure, net, TO_ERROR[net], faster[closest], False, note)


def _sweep(key: str, result: dict) -> Outcome:
    if key == "asleep":
        figure = "sweep of sleeping cells, two workers over one, seconds"
        return Outcome(figure, "–", SLEEPING, result["ratio"], True)
    kills = result["kills"]
    same = sum(kill["identical"] and kill["clean"] for kill in kills)
    figure = "workers killed at random moments: reruns with the same records, bit for bit"
    return Outcome(figure, "–", len(kills), same, False)


def beside_the_steps(rungs: list[dict]) -> float:
    """Seconds at no products, on a line through the settings that were measured."""
    products = [rung["num_steps"] * rung["num_probes"] for rung in rungs]
    seconds = [rung["seconds"] for rung in rungs]
    return float(np.polyfit(products, seconds, 1)[1]) if len(rungs) > 1 else float("nan")


def mean_and_sem(values) -> tuple[float, float]:
    """Mean and standard error over seeds (NaN for one)."""
    n = len(values)
    return float(np.mean(values)), float(np.std(values, ddof=1) / n**0.5) if n > 1 else float("nan")
