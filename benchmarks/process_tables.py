"""Tables of several processes, which the page *Beyond one machine* shows."""

from benchmarks.results import Results

BYTES = 4  # of a float32


def sharded(results: Results) -> list[dict]:
    """One row a quantity, in vectors of p numbers; one column a net and a way of two ranks."""
    rows: dict[str, dict[str, str]] = {}
    for net, record in results.read("sharded").items():
        result = record["result"]
        for way in ("weights whole", "weights cut up"):
            for name, held in result["bytes"][f"two ranks, {way}"].items():
                share = held / (BYTES * result["num_parameters"])
                rows.setdefault(name, {})[f"{net}, {way}"] = f"{share:.2f}"
    return [{"of the rank that has most, in p numbers": name, **row} for name, row in rows.items()]


def asleep(results: Results) -> list[dict]:
    """A sweep of cells that sleep, by one worker and by two."""
    return [
        {
            "cells": f"{result['cells']} of {result['seconds_of_a_cell']:g} s",
            **{name: f"{min(taken):.3g} s" for name, taken in result["seconds"].items()},
            "two over one": f"{result['ratio']:.2f}",
        }
        for result in _results(results, "sweeps", "asleep")
    ]


def killed(results: Results) -> list[dict]:
    """What killed workers left, and how often a rerun gave the records of others that lived."""
    return [
        {
            "moments": len(kills),
            "seconds after the start": _range(kills, "moment", ".2f"),
            f"cells done by then, of {result['cells']}": _range(kills, "cells_done", "d"),
            "claims left": _range(kills, "claims_left", "d"),
            "rerun, records the same bit for bit": sum(kill["identical"] for kill in kills),
            "nothing else left": sum(kill["clean"] for kill in kills),
        }
        for result in _results(results, "sweeps", "killed")
        for kills in [result["kills"]]
    ]


def _results(results: Results, task: str, key: str) -> list[dict]:
    return [record["result"] for name, record in results.read(task).items() if name == key]


def _range(rows: list[dict], name: str, form: str) -> str:
    values = [row[name] for row in rows]
    return f"{min(values):{form}} to {max(values):{form}}"
