"""Tables, as Markdown, and plots of what has been measured, in the results folder;
the book shows them as they are.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from benchmarks import behind, floors, plots
from benchmarks.machine import PACKAGES
from benchmarks.process_tables import asleep, killed, sharded
from benchmarks.results import FOLDER, Results
from benchmarks.targets import (
    FASTER_THAN_REORTHOGONALIZED,
    TO_ERROR,
    beside_the_steps,
    mean_and_sem,
    outcomes,
)

SHOWN = (
    "products",
    "rounding",
    "quadrature",
    "outliers",
    "accuracy",
    "time_to_error",
    "class_means",
    "memory",
    "growth",
    "parallel",
    "sharded",
    "sweeps",
)
NOTHING = "Not measured yet.\n"


def write_report(results: Results) -> Path:
    """One Markdown file a table, one SVG a plot; returns the folder."""
    gpu = Results(FOLDER / "cuda")
    tables = {
        "targets": _targets(results),
        "products": _products(results),
        "errors": _errors(results, "few"),
        "errors_over_all": _errors(results, "all"),
        "quadrature": _quadrature(results),
        "outliers": _outliers(results),
        "accuracy": _accuracy(results),
        "class_means": _class_means(results),
        "time_to_error": _time_to_error(results),
        "parallel": _parallel(results),
        "sharded": sharded(results),
        "asleep": asleep(results),
        "killed": killed(results),
        "guards": _guards(results),
        "gpu": _gpu(gpu),
        "gpu_products": _products(gpu),
    }
    sentences = {
        "quadrature": floors.about_quadratures(results, FASTER_THAN_REORTHOGONALIZED),
        "time_to_error": [
            *floors.about_time_to_error(results, TO_ERROR),
            *behind.without_the_node(results),
        ],
        "products": behind.slower_products(results),
        "gpu_products": [*behind.slower_products(gpu), *behind.errors_over_all(gpu)],
        "errors": behind.farther_products(results),
    }
    for name, rows in tables.items():
        text = _markdown(rows) + "".join(f"\n{line}\n" for line in sentences.get(name, ()))
        (results.folder / f"{name}.md").write_text(text, encoding="utf-8")
    for name, measured in {"provenance": results, "gpu_provenance": gpu}.items():
        (results.folder / f"{name}.md").write_text(_made_with(measured), encoding="utf-8")
    plots.draw_all(results)
    return results.folder


def _markdown(rows: list[dict]) -> str:
    if not rows:
        return NOTHING
    frame = pd.DataFrame(rows).fillna("–")
    lines = [list(frame.columns), ["---"] * frame.shape[1], *frame.astype(str).to_numpy().tolist()]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines) + "\n"


def _targets(results: Results) -> list[dict]:
    return [
        {
            "figure": outcome.figure,
            "net": outcome.net,
            "target": f"{'≤' if outcome.at_most else '≥'} {outcome.target:.3g}",
            "measured": f"{outcome.measured:.3g}",
            "reached": "✓ yes" if outcome.reached else "✗ no",
            "note": outcome.note,
        }
        for outcome in outcomes(results)
    ]


def _guards(results: Results) -> list[dict]:
    rows = []
    for net, record in results.read("guards").items():
        result = record["result"]
        rows.append(
            {
                "net": f"{net}: {result['title']}",
                "seconds of the "
                "checks": f"{result['seconds']['checked'] - result['seconds']['unchecked']:.2g}",
                "in Hessian products": f"{result['in_products']:.2g}",
                "share of one quadrature": f"{100 * result['share_of_quadrature']:.2g} %",
                **{f"derivative: {kind}": said for kind, said in result["checks"].items()},
            }
        )
    return rows


def _by_contender(results: Results, task: str, cell) -> list[dict]:
    """One row a contender, one column a net; cell(result) gives {contender: text}."""
    rows = defaultdict(dict)
    for net, record in results.read(task).items():
        for contender, text in cell(record["result"]).items():
            rows[contender][net] = text
    return [{"": contender, **cells} for contender, cells in rows.items()]


def _products(results: Results) -> list[dict]:
    def cell(result):
        ratios = {
            name: f"{r['median']:.2f} ({r['of_fastest']:.2f})"
            for name, r in result["per_gradient"].items()
        }
        milliseconds = f"{1e3 * min(result['seconds']['gradient']):.3g} ms"
        shares = result["share_of_peak"]
        return {
            **dict(sorted(ratios.items(), key=lambda item: item[0].split(": ")[0] != "Hess")),
            "one gradient takes": milliseconds,
            "hspec's share of the matrix-product peak, Hess": f"{shares['Hess: hspec']:.0%}",
            "the same, G": f"{shares['G: hspec']:.0%}",
        }

    return _by_contender(results, "products", cell)


def _errors(results: Results, which: str) -> list[dict]:
    """Of one product, against float64: over few examples or over all."""

    def cell(samples):
        sample = samples.get(which)
        if sample is None:
            return {}
        errors = sorted(sample["relative_error"].items(), key=lambda item: item[0][0] != "H")
        crossing = sample["across_zero"]
        return {
            **{name: f"{error:.1e}" for name, error in errors},
            "examples": f"{sample['num_examples']:,}",
            "inputs of ReLUs": f"{sample['rectified']:,}",
            "… that cross zero, in PyTorch's forward pass": crossing["PyTorch"],
            "… in hspec's": crossing["hspec"],
        }

    return _by_contender(results, "rounding", cell)


def _quadrature(results: Results) -> list[dict]:
    def cell(result):
        seconds = {name: min(times) for name, times in result["seconds"].items()}
        others = {
            name + ("" if result["reorthogonalizes"][name] else " (no reorthogonalisation)"): (
                f"{seconds[name]:.3g} s, {result['over_hspec'][name]['median']:.1f}×"
            )
            for name in seconds
            if name != "hspec"
        }
        setting = f"{result['num_steps']} × {result['num_probes']}"
        return {"steps × probes": setting, "hspec": f"{seconds['hspec']:.3g} s", **others}

    rows = _by_contender(results, "quadrature", cell)
    return [*rows, _products_alone(results)] if rows else rows


def _products_alone(results: Results) -> dict:
    """The floor: as many products of hspec's as each quadrature takes, in a bare loop; of earlier
    results, whose turns had none, by the time of one.
    """
    products = results.read("products")
    row = {"": "hspec's products alone"}
    for net, record in results.read("quadrature").items():
        result = record["result"]
        if "floor" in result:
            row[net] = f"{min(result['floor'][floors.PRODUCTS]):.3g} s"
        elif net in products:
            one = min(products[net]["result"]["seconds"]["Hess: hspec"])
            row[net] = f"{result['num_steps'] * result['num_probes'] * one:.3g} s"
    return row


def _outliers(results: Results) -> list[dict]:
    def cell(result):
        residual = "papers_residual"
        return {
            "trained on": f"{result['num_examples']} of {result['inputs']}",
            "papers: 128·C + 64 + 256 products": result["papers"],
            "largest residual of their subspace iteration, over $\\lambda_C$": (
                f"{result[residual]:.1e}" if residual in result else "–"
            ),
            "one Lanczos run: top C converged after": result["converged_after"],
            "products for these, the range and the bulk": result["one_run"],
            "its largest residual, recomputed, over $\\lambda_C$": (
                f"{result['one_run_residual']:.1e}"
            ),
            "eigsh from the class means, products": result["eigsh"],
            "its largest residual over $\\lambda_C$": f"{result['eigsh_residual']:.1e}",
            "with the deflated bulk, products": result["eigsh_and_bulk"],
        }

    return _by_contender(results, "outliers", cell)


def _accuracy(results: Results) -> list[dict]:
    rows = []
    for record in results.read("accuracy").values():
        full = {"hspec, full reorthogonalisation": record["result"]["full_reorthogonalization"]}
        for estimator, by_steps in (record["result"]["errors"] | full).items():
            steps = "90" if "90" in by_steps else max(by_steps, key=int)
            errors = by_steps[steps]
            rows.append(
                {
                    "at m = " + steps: estimator,
                    "W1 / range": _mean(errors, "wasserstein"),
                    "KS outside the atom": _mean(errors, "kolmogorov_smirnov"),
                    "top ten, worst relative error": _mean(errors, "top"),
                    "seeds": len(errors),
                }
            )
    return rows


def _mean(errors: list[dict], name: str) -> str:
    mean, sem = mean_and_sem([error[name] for error in errors])
    return f"{mean:.2g}" if len(errors) == 1 else f"{mean:.2g} ± {sem:.1g}"


def _class_means(results: Results) -> list[dict]:
    def cell(result):
        return {
            "hspec": f"{min(result['seconds']['hspec']):.3g} s",
            "double loop over classes": f"{min(result['seconds']['double loop']):.3g} s",
            "times faster": f"{result['times_faster']:.1f} "
            f"({result['times_faster_of_fastest']:.1f})",
            "relative difference, median over (c, "
            "c')": f"{result['relative_difference']['median']:.0e}",
            "the same, worst": f"{result['relative_difference']['worst']:.0e}",
        }

    return _by_contender(results, "class_means", cell)


def _time_to_error(results: Results) -> list[dict]:
    def cell(result):
        last = result["hspec"][-1]
        reached = "" if result["reached"] else ", not reached"
        settings = "".join(f", {k}={v}" for k, v in result.get("settings", {}).items())
        ours = {
            "p": result["num_parameters"],
            "hspec": f"{last['seconds']:.3g} s (m = {last['num_steps']} × {last['num_probes']}"
            f"{settings}: {last['error']:.2g}{reached})",
            "of these beside the steps": f"{beside_the_steps(result['hspec']):.2g} s",
        }
        peers = {
            name: f"{one['seconds']:.3g} s ({one['error']:.2g}), "
            f"{result['times_faster'][name]:.1f}×"
            for name, one in result["peers"].items()
        }
        return ours | peers

    return _by_contender(results, "time_to_error", cell)


def _parallel(results: Results) -> list[dict]:
    def cell(result):
        fastest = {name: min(map(min, turns)) for name, turns in result["seconds"].items()}
        return {
            "one process, two threads": f"{fastest['one process']:.3g} s",
            "two ranks, one thread each": f"{fastest['two ranks']:.3g} s",
            "parallel efficiency": f"{result['efficiency']:.2f}",
            "a rank's share of the basis": f"{result['basis_share']:.3f}",
        }

    return _by_contender(results, "parallel", cell)


def _gpu(results: Results) -> list[dict]:
    def cell(result):
        return {
            "N": result["num_examples"],
            "seconds a Hess product": f"{result['seconds']['Hess']:.3g}",
            "Hess / gradient": f"{result['per_gradient']['Hess']:.2f}",
            "G / gradient": f"{result['per_gradient']['G']:.2f}",
            "fraction of peak": f"{result['fraction_of_peak']:.0%}",
            "gain of blocks": f"{result['gain_of_blocks']:.2f}",
        }

    return _by_contender(results, "gpu", cell)


def _made_with(results: Results) -> str:
    """What was measured when, on what: one line for all measurements that agree in it, and below
    them the versions of most; those of others stand in their own line.
    """
    groups, versions = defaultdict(list), Counter()
    for task in (*SHOWN, "gpu"):
        for key, record in results.read(task).items():
            p = record["provenance"]
            used = tuple((name, p["versions"][name]) for name in ("python", *PACKAGES))
            versions[used] += 1
            groups[p["date"], p["machine"], p["revision"], used].append((task, key, p["load"]))
    if not groups:
        return NOTHING
    (usual, _), *_ = versions.most_common(1)
    lines = []
    for (date, machine, revision, used), members in groups.items():
        machine = re.sub("^1 cores ", "1 core ", machine)  # as earlier revisions wrote it
        loads = [load for *_, load in members]
        load = " to ".join(f"{load:.1f}" for load in sorted({min(loads), max(loads)}))
        what = ", ".join(f"{task.replace('_', ' ')} {key}" for task, key, _ in members)
        other = _named([version for version in used if version not in usual])
        lines.append(
            f"* {date}, {machine}, load {load} at the end, revision `{revision}`: {what}"
            + (f" ({other})" if other else "")
        )
    return "\n".join([*lines, "", f"Versions, where no others are named: {_named(usual)}.", ""])


def _named(versions: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions)
