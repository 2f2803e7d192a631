"""The status of every chapter, as a page of the book and as text in the terminal."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from hspec.book.repository import Repository
from hspec.book.seconds import read_seconds
from hspec.book.staging import chapter_key, staged_record
from hspec.chapters.measures import MEASURES
from hspec.experiments import Store
from hspec.experiments.scale import net_name
from hspec.papers.tables import stored_nets


@dataclass(frozen=True)
class ChapterState:
    """A chapter's last good run beside what the profiles ask for."""

    chapter: str
    record: dict  # of stage_chapter; empty if the chapter has not been run
    current: bool  # the page still follows from the notebook, the package and the versions of today
    at_paper_scale: bool  # the page's run, or one that comes with the book and the page shows
    paper_command: str

    @property
    def summary(self) -> tuple[str, str, str, str]:
        """Profile, date, seconds and revision of the run, ready for a table."""
        if not self.record:
            return ("not run yet", "–", "–", "–")
        seconds, revision = f"{self.record['seconds']:.0f} s", self.record["revision"]
        return (self.record["profile"], self.record["date"], seconds, revision)


def chapter_states(repository: Repository) -> list[ChapterState]:
    """One ChapterState for each chapter, in reading order."""
    store = Store(published=repository.root / "data" / "results")
    return [
        _state(repository, store, chapter, paper)
        for chapter, paper in repository.profile("paper").items()
    ]


def _state(repository, store, chapter, paper):
    record = staged_record(repository, chapter)
    made_with = record.get("parameters", {})
    return ChapterState(
        chapter=chapter,
        record=record,
        current=bool(record) and record["key"] == chapter_key(repository, chapter, made_with),
        at_paper_scale=bool(record) and (made_with == paper or _stored(store, chapter, paper)),
        paper_command=f"hspec run {chapter} --profile paper",
    )


def _stored(store, chapter, parameters):
    """Whether the book comes with a result of the chapter's own measures at these parameters."""
    own = [m for m in MEASURES.values() if m.__module__ == f"hspec.chapters.{chapter}.measure"]
    metas = [record.meta for measure in own for record in store.published_records(measure)]
    facts = [
        {**meta["options"], **(meta["setting"] or {}), **(meta["setting"] or {}).get("recipe", {})}
        for meta in metas
    ]
    return any(parameters.items() <= fact.items() for fact in facts if parameters)


def status_text(repository: Repository) -> str:
    """The status as lines of plain text."""
    lines = []
    for state in chapter_states(repository):
        fresh = (
            ""
            if state.current or not state.record
            else "   changed since: hspec book runs it again"
        )
        lines.append(f"{state.chapter:24s} " + "   ".join(state.summary) + fresh)
    lines.append(
        f"pages: {repository.index if repository.index.is_file() else 'not built yet: hspec book'}"
    )
    return "\n".join(lines)


def status_page(repository: Repository) -> str:
    """The Markdown of the book's status page."""
    states = chapter_states(repository)
    store = Store(published=repository.root / "data" / "results")
    rows = "\n".join(
        f"| {{doc}}`../notebooks/{state.chapter}` | " + " | ".join(state.summary) + " |"
        for state in states
    )
    return f"""\
# Status

What these pages were made with. Every chapter can be run again at another scale; its page ends with
the command.

| chapter | profile | run | duration | revision |
|---|---|---|---|---|
{rows}

{_versions(states)}

## Results that come with the book

{_stored_results(store)}

## The papers' nets

Each on a sample of the papers', at full width where the title says nothing else, cell by cell: what
is stored, running or waiting, and the command that measures it. Cells begun go on from where they
were stopped; a cost of 1 takes two cores two to six hours.

{stored_nets(store).data}

## Measured again

{verified_text(store.root / "verified.json")}

## The seconds above commands

{timed_text(repository.book)}

## Pieces still to be run at paper scale

{_paper_pieces(states)}
"""


# Until then seconds were counted from where a measure went on, and no record says whether it did.
SECONDS = (
    "Seconds are the clock's, beside whatever else the machine did. A result of before 28 November "
    "2026 that was interrupted and gone on with has those of its last part only."
)


def _stored_results(store):
    """What lies in data/results and data/laptop: one row for each measure, data set and net."""
    groups = {}
    for name, measure in MEASURES.items():
        for record in store.records_of_the_book(measure):
            of = record.setting
            net, dataset = (net_name(record), of.dataset) if of else ("–", "–")
            groups.setdefault((name, dataset, net, record.device), []).append(record.meta)
    if not groups:
        return "None yet."
    rows = [
        f"| {measure} | {dataset} | {net} | {len(metas)} | {sum(m['seconds'] for m in metas):.0f} "
        "s | "
        f"{device} | {max(m['written'] for m in metas)[:10]} |"
        for (measure, dataset, net, device), metas in groups.items()
    ]
    return "\n".join(
        [
            "| measure | data | net | records | measured in | on | last |",
            "|---|---|---|---|---|---|---|",
            *rows,
            "",
            SECONDS,
        ]
    )


def verified_text(report: Path) -> str:
    """What `hspec verify` last said on this machine, from its file;
    how to ask it where there is none.
    """
    how = "`hspec verify --minutes 10` measures stored results again, the quickest first."
    if not report.is_file():
        return f"Not yet on the machine that made these pages. {how}"
    said = json.loads(report.read_text(encoding="utf-8"))
    outcomes = Counter(outcome for outcome, *_ in said["records"].values())
    counts = ", ".join(f"{number} {outcome}" for outcome, number in outcomes.most_common())
    rows = [
        f"| `{key[:8]}` | {text} | {seconds} s |"
        for key, (_, text, seconds) in said["records"].items()
    ]
    head = ["| result | measured again | in |", "|---|---|---|"]
    table = "\n".join(head + rows)
    return (
        f"{counts}: on {said['date']}, {said['machine']}, within {said['tolerance']:.0%} of a "
        "spectrum's range or of "
        f"an array's largest entry. {how}\n\n:::{{dropdown}} One by one\n{table}\n:::"
    )


def timed_text(book: Path) -> str:
    """Where and when the commands of the pages were timed."""
    known = read_seconds(book)
    if not known:
        return "None was timed yet."
    machines = "; ".join(sorted({entry["machine"] for entry in known.values()}))
    days = sorted({entry["date"] for entry in known.values()})
    when = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    return (
        f"{len(known)} commands were timed on {machines} ({when}){_busy(known)}, each with an "
        "empty store and nothing but what comes with the book. What stands above them is what they "
        "took of the processor's time; on more threads they take less of the clock's. A command "
        'that wanted more than it was given was ended, and has "more than". What is folded below '
        "commands, what the first shows and so on, is of the same runs; `python -m "
        "hspec.book.timing WORD` times those with the word in them again."
    )


def _busy(known):
    """What is known of the load that commands were timed at."""
    loads = [entry["load"] for entry in known.values() if "load" in entry]
    if not loads:
        return ""
    return f", at a load of up to {max(loads):.1f}, which makes processes slower than a quiet one"


def _versions(states):
    made_with = sorted({_numbers(state.record) for state in states if state.record})
    return "\n\n".join(f"Made with {numbers}." for numbers in made_with)


def _numbers(record):
    versions = ", ".join(f"{name} {number}" for name, number in record["versions"].items())
    return f"{versions}, on {record['machine']}"


# What they show is no paper's net: drawn data, or nets of others.
OF_NO_PAPERS_NET = ("misclassification", "your_own_net")


def _paper_pieces(states):
    waiting = [
        state.paper_command
        for state in states
        if not state.at_paper_scale and state.chapter not in OF_NO_PAPERS_NET
    ]
    if not waiting:
        return "None: every chapter of this book was run at paper scale."
    commands = "\n".join(waiting)
    return f"""\
The papers' nets and sizes need a large GPU. These commands run what is not shown at that scale
here. Each may be interrupted and started again at any time: training and Lanczos runs go on from
their checkpoints, finished records are kept, and `hspec publish MEASURE` puts them among the
results that come with the book.

```bash
{commands}
```"""
