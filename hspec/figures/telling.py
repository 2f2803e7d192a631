"""What a run says of itself: findings under the title, captions and alternative texts, made from
its records.

A notebook's last cell tells the findings, each figure's cell its caption. They travel in the
metadata of the outputs; :mod:`hspec.book.telling` puts them where the page has them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from IPython import get_ipython
from IPython.core.formatters import DisplayFormatter
from matplotlib.figure import Figure
from matplotlib.text import Text

from hspec.experiments.records import Record
from hspec.experiments.scale import (
    badge,
    by_net,
    drawn_model,
    in_units,
    net_name,
    of_the_papers,
    provenance,
    several,
    short_names,
    trained_for,
)
from hspec.figures.kernels import kernels
from hspec.plotting.descriptions import described
from hspec.plotting.saving import laid_out
from hspec.words import TOLD, signed, subscripted

MOST_FINDINGS = 4
DRAWN = ("image/svg+xml", "application/pdf")  # as the figure stands; other formats arrange it anew


@dataclass(frozen=True)
class Told:
    """An output with what the page is to know of it."""

    data: Mapping[str, Any]
    metadata: Mapping[str, Any]

    def _repr_mimebundle_(
        self, include=None, exclude=None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        return dict(self.data), dict(self.metadata)


def shown(figure: Figure | None, records: Iterable[Record] = (), about: str = "") -> Told | None:
    """The figure with the rest of its caption and its alternative text, made from the records and
    from what is drawn; without records with its text alone.

    about: what the caption says in the place of records, of what is measured without any.

    None where there is no figure.
    """
    if figure is None:
        return None
    smoothed = f"Kernel σ = {', '.join(widths)}; " if (widths := kernels(figure)) else ""
    records = list(records)
    notes = {
        "caption": f"{smoothed}{about or provenance(records)}" if about or records else "",
        "alt": described(figure),
        "seconds": {r.meta["key"]: r.meta["seconds"] for r in records if "key" in r.meta},
    }
    _letter(figure)
    data, metadata = _formatted(figure)
    return Told(data | {"text/plain": notes["caption"] or notes["alt"]}, metadata | {TOLD: notes})


def _letter(figure: Figure) -> None:
    """Its texts as they are printed: A1 as A₁, δ_c as mathematics."""
    for text in figure.findobj(Text):
        text.set_text(_printed(text.get_text()))
    for axes in figure.axes:
        names = [label.get_text() for label in axes.get_yticklabels()]
        if names != (printed := [_printed(name) for name in names]):
            axes.set_yticks(axes.get_yticks(), printed)


def _printed(text: str) -> str:
    return subscripted(re.sub(r"\bδ_c\b", r"$\\delta_c$", re.sub(r"\bg_c\b", "$g_c$", text)))


def _formatted(figure: Figure) -> tuple[dict[str, Any], dict[str, Any]]:
    """As the notebook would show it; outside of one, as text."""
    shell = get_ipython()
    formatter = shell.display_formatter if shell else DisplayFormatter()
    with laid_out(figure):
        drawn, of_drawn = formatter.format(figure, include=DRAWN)
    rest, of_rest = formatter.format(figure, exclude=DRAWN)
    return drawn | rest, of_drawn | of_rest


def best_first(
    findings: Callable[..., list[str]], live: tuple, stored: tuple, each: int = MOST_FINDINGS // 2
) -> list[str]:
    """What stored records say, then what this run does; each sentence with the net it is of.

    Args:
        findings: The chapter's, which makes sentences, the ones that matter most first.
        live: What it is called with for this run. stored: for the best evidence that comes with the
            book, its nets larger than this run's; holds no record where there is none.
        each: Sentences of either, where there are both.
    """
    found, own = ({r.meta.get("key"): r for r in records_in(given)} for given in (stored, live))
    if not found.keys() - own.keys():
        return findings(*live)
    apart = _apart(list(found.values()), list(own.values()))
    theirs, ours = (
        [of_net(sentence, records.values(), more) for sentence in findings(*given)[:each]]
        for given, records, more in zip((stored, live), (found, own), apart, strict=True)
    )
    return [*map(OfStored, theirs), *ours]


class OfStored(str):
    """A finding of nets that come with the book, not of a run's own."""


def _apart(stored: list[Record], live: list[Record]) -> tuple[str, str]:
    """What to say after the names of two groups of nets that have the same: the first thing in
    which they differ.
    """
    names = short_names(stored)
    if not names or names != short_names(live):
        return "", ""
    for told in (_trained, _rate, _start):
        if (one := told(stored)) != (other := told(live)):
            return f", {one}", f", {other}"
    theirs, ours = _choices(stored), _choices(live)
    for name, values in theirs.items():
        if (others := ours.get(name, values)) != values:
            word = name.replace("_", " ")
            return f", {word} {' and '.join(values)}", f", {word} {' and '.join(others)}"
    return ", stored", ", this run"


def _choices(records: list[Record]) -> dict[str, list[str]]:
    """How these nets were trained and measured, by the names of options and of fields, but for what
    was not chosen, or is a list.
    """
    found: dict[str, set[str]] = {}
    for record in records:
        of = record.meta["setting"]
        for name, value in (*record.options.items(), *of.items(), *of["recipe"].items()):
            if isinstance(value, str | int | float):
                told = f"{value:,.10g}" if isinstance(value, float) else str(value)
                found.setdefault(name, set()).add(told)
    return {name: sorted(values) for name, values in found.items()}


def _trained(records: list[Record]) -> str:
    return in_units(*trained_for(records))


def _rate(records: list[Record]) -> str:
    return f"rate {several(r.setting.recipe.learning_rate for r in records)}"


def _start(records: list[Record]) -> str:
    return f"seed {several(r.setting.init_seed for r in records)}"


def records_in(given: object) -> Iterator[Record]:
    """All records in a tuple, list or mapping of such."""
    if isinstance(given, Record):
        yield given
    elif isinstance(given, Mapping | list | tuple):
        for value in given.values() if isinstance(given, Mapping) else given:
            yield from records_in(value)


def of_net(sentence: str, records: Iterable[Record], more: str = "") -> str:
    """A finding that begins with its net and data, after its mark and its claim; `more` follows the
    names.

    Example:
        >>> of_net("✓ **P18-1.** It is 3.", [])
        '✓ **P18-1.** It is 3.'
    """
    names = short_names(records)
    start, told = re.fullmatch(
        r"((?:[✓✗?] )?(?:\*\*[\w-]+\.\*\* )?)(.*)", sentence, re.DOTALL
    ).groups()
    return f"{start}{names}{more}: {told}" if names else sentence


def _nets(records: Iterable[Record]) -> set[str]:
    """As findings name them."""
    return {f"{net_name(of[0])}, {of[0].setting.dataset}" for of in by_net(records)}


def _bullets(findings: Iterable[str]) -> str:
    return "\n".join(f"* {signed(finding)}" for finding in findings)


THIS_RUN = "In this run"
WITH_STORED = "In runs that come with the book, and in this one"


def in_this_run(
    findings: Iterable[str], records: Iterable[Record], stored: Iterable[Record] = ()
) -> Told:
    """What this run found, one sentence a bullet, and how far its nets are from the papers'.

    Args:
        findings: At most four sentences, Markdown.
        records: Those of this run that they rest on.
        stored: Those that come with the book that they rest on, too: the heading then says so.

    Raises:
        ValueError: no finding, or more than four.
    """
    findings, records = list(findings), list(records)
    own = [record.meta.get("key") for record in records]
    stored = [record for record in stored if record.meta.get("key") not in own]
    heading = WITH_STORED if stored else THIS_RUN
    if not 1 <= len(findings) <= MOST_FINDINGS:
        raise ValueError(f"tell 1 to {MOST_FINDINGS} findings; got {len(findings)}")
    theirs = _nets(stored) - _nets(records)
    of_own = [
        finding
        for finding in findings
        if not isinstance(finding, OfStored) and not any(net in finding for net in theirs)
    ]
    badges = [(badge(group), of_the_papers(group[0])) for group in by_net(records + stored)]
    if not badges and (model := drawn_model(records)):
        badges = [(f"no net: {model}", False)]
    notes = {
        "heading": heading,
        "findings": (told := _bullets(findings)),
        "findings of its own nets": _bullets(of_own),
        "own": [key for key in own if key],
        "badges": [{"text": text, "papers": papers} for text, papers in badges],
    }
    nets = "; ".join(text for text, _ in badges)
    text = f"**{heading}**\n\n{told}\n\n{nets[:1].upper()}{nets[1:]}{'.' * bool(nets)}"
    return Told({"text/markdown": text, "text/plain": text}, {TOLD: notes})
