"""`hspec verify`: stored results measured again on this machine."""

import argparse
import json
from collections import Counter
from datetime import UTC, datetime
from typing import Any

from hspec.chapters.measures import MEASURES
from hspec.errors import CommandError
from hspec.experiments import Store
from hspec.experiments.provenance import machine, package_versions
from hspec.experiments.verification import TOLERANCE, Verification, verify_all
from hspec.files import write_whole

SAID = {
    "repeated": "repeated to the last bit",
    "reproduced": "reproduced: {worst} within {deviation:.1e}",
    "another net": "another net: {worst}",
    "differs": "DIFFERS: {worst} by {deviation:.1e}",
    "skipped": "skipped: {worst}",
}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Measure results that come with the book again, the quickest first, and say which this "
        f"machine reproduces: within {TOLERANCE:.0%} of a spectrum's range (Wasserstein-1) or of "
        "an "
        "array's largest entry. Where training went another way, to another loss, that is "
        "said. Nothing that is stored is changed. Ends with status 1 where one differs."
    )
    parser.add_argument(
        "--minutes",
        type=float,
        default=10.0,
        metavar="M",
        help="begin nothing that would take longer than what is left of M minutes (default: 10)",
    )
    parser.add_argument(
        "measures",
        nargs="*",
        metavar="MEASURE",
        help=f"only records of these measures: {', '.join(sorted(MEASURES))}",
    )


def run(options: argparse.Namespace) -> None:
    unknown = sorted(set(options.measures) - set(MEASURES))
    if unknown:
        raise CommandError(f"there is no measure {', '.join(unknown)}: see hspec verify --help")
    if not options.minutes > 0:
        raise CommandError(f"--minutes must be positive, not {options.minutes:g}")
    store = Store()
    measures = [MEASURES[name] for name in options.measures or sorted(MEASURES)]
    records = [r for m in measures for r in store.records_of_the_book(m)]
    results = []
    for result in verify_all(records, MEASURES, options.minutes):
        results.append(result)
        print(f"{_name(result)}: {_said(result)}", flush=True)
    report = store.root / "verified.json"
    text = json.dumps(_report(results), indent=1) + "\n"
    write_whole(report, lambda file: file.write(text.encode()))
    counts = Counter(result.outcome for result in results)
    print(", ".join(f"{counts[outcome]} {outcome}" for outcome in SAID) + f"; kept in {report}")
    if counts["differs"]:
        raise CommandError(f"{counts['differs']} results are not what is stored")


def _name(result: Verification) -> str:
    setting, meta = result.record.setting, result.record.meta
    of = f"{setting.model}, {setting.dataset}" if setting else "no net, synthetic"
    return f"{meta['measure']} {meta['key'][:8]} ({of})"


def _said(result: Verification) -> str:
    return SAID[result.outcome].format(worst=result.worst, deviation=result.deviation)


def _report(results: list[Verification]) -> dict[str, Any]:
    """What the status page shows of it."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine(),
        "packages": package_versions(),
        "tolerance": TOLERANCE,
        "records": {r.record.meta["key"]: [r.outcome, _said(r), round(r.seconds)] for r in results},
    }
