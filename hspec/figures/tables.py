"""Tables and one-line notes that notebooks show under their figures, as Markdown."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping

import pandas as pd
from IPython.display import HTML, Markdown

from hspec.experiments import CLAIMS, Record, Verdict, claims
from hspec.experiments.claims import MARKS
from hspec.experiments.scale import in_units, misfit, net_name, sample_size, trained_for
from hspec.experiments.uncertainty import KINDS
from hspec.words import VERDICTS, signed, subscripted


def tabulated(
    cells: Iterable[Mapping[str, object]] | Mapping[str, Iterable], formats: Mapping[str, str]
) -> pd.DataFrame:
    """A data frame of rows or of columns, numbers as they are, and how :func:`table` writes them.

    Args:
        cells: Of each row, its cells by heading; or the columns by heading. A cell may hold several
            numbers, as a tuple.
        formats: By heading, a format specification, ".3g"; of several numbers, a text with their
            places, "{:.2f} ± {:.2f}". What is not named is written as it is.

    Example:
        >>> rows = [{"net": "a", "λ": 2.34567, "share": (0.5, 0.01)}]
        >>> print(table(tabulated(rows, {"λ": ".3g", "share": "{:.2f} ± {:.2f}"})).data)
        | net | λ | share |
        | --- | --- | --- |
        | a | 2.35 | 0.50 ± 0.01 |
    """
    frame = pd.DataFrame(cells if isinstance(cells, Mapping) else list(cells))
    frame.attrs["formats"] = dict(formats)
    return frame


def named_values(heading: str, values: Mapping[str, tuple[object, str]]) -> pd.DataFrame:
    """Numbers of different kinds one below the other: by name, each with its format; as text."""
    return pd.DataFrame(
        {heading: values.keys(), "value": [written(*value) for value in values.values()]}
    )


def written(value: object, how: str = "") -> str:
    """One cell as text: a dash for what is not a number, nothing for None;
    a number alone takes the first place.
    """
    numbers = value if isinstance(value, tuple) else (value,)
    if value is None or isinstance(numbers[0], str):
        return value or ""
    if any(number != number for number in numbers[:1]):
        return "–"
    places = how if "{" in how else f"{{:{how}}}"
    if len(numbers) == 1:  # exact, where other rows have an error too
        places = places[: places.index("}") + 1]
    if "± {" in places and 0 < numbers[1] < 1:
        places = _until_the_error_shows(places, numbers)
    text = places.format(*numbers)
    if numbers[0] > 0 and re.fullmatch(r"0\.?0*%", text):  # a share that is not zero
        return f"< {text[:-2]}1%"
    return text.replace("nan%", "–").replace("nan", "–")


def _until_the_error_shows(places: str, numbers: tuple[float, ...]) -> str:
    """The format with more digits where the error would be written as zero, which it is not."""
    while not re.search("[1-9]", places.format(*numbers).partition("±")[2]):
        places = re.sub(r"\.(\d+)(?=[f%])", lambda found: f".{int(found[1]) + 1}", places)
    return places


def table(frame: pd.DataFrame) -> Markdown:
    """A data frame as a Markdown table; its formats are those of :func:`tabulated`.

    An index that has a name is the first column; one without is not shown.
    """
    formats = frame.attrs.get("formats", {})
    if frame.index.name is not None:
        frame = frame.reset_index()
    cells = [[str(name) for name in frame.columns], ["---"] * frame.shape[1]]
    cells += [
        [
            written(value, formats.get(name, ""))
            for name, value in zip(frame.columns, row, strict=True)
        ]
        for row in frame.itertuples(index=False, name=None)
    ]
    return Markdown(
        "\n".join(
            "| " + " | ".join(typeset(c).replace("|", "\\|") for c in row) + " |" for row in cells
        )
    )


def _power(found: re.Match) -> str:
    number, digits = float(found[0]), len(found["digits"] or "")
    if number == 0 or 1e-3 <= number < 1e5:  # no power is needed: as other numbers are written
        return f"{number:,.10g}"
    return claims.typeset(number, digits)


def _indexed(found: re.Match) -> str:
    letter = {"δ": "\\delta", "ε": "\\varepsilon", "λ": "\\lambda"}.get(found[1], found[1])
    index = found[2].strip("{}").replace("−", "-").replace("≤", "\\le ")
    return f"${letter}_{{{index}}}$"


# plain text that tables typeset, and as what; bars as \vert, since a bar ends a cell
SYMBOLS = (
    (r"‖∇L‖²", r"$\\lVert\\nabla L\\rVert^2$"),
    (r"‖∇L‖", r"$\\lVert\\nabla L\\rVert$"),
    (r"‖(H|Hess − top C)‖_F²", r"$\\lVert\\text{\1}\\rVert_F^2$"),
    (r"\|λ_min\|/λ_max", r"$\\vert\\lambda_{\\min}\\vert/\\lambda_{\\max}$"),
    (r"λ_\(C\+1\)", r"$\\lambda_{C+1}$"),
    (r"λ_(min|max)\b", r"$\\lambda_{\\\1}$"),
    (r"λ_(\d+|C|i|k)\b", r"$\\lambda_{\1}$"),
    (r"Σ_\{i≤C\} ", r"$\\sum_{i \\le C}$"),
    (r"λ₁", r"$\\lambda_1$"),
    (r"\b([gph])_(\{[\w,']+\}|cc?(?![a-zA-Z0-9_]))", _indexed),
    (r"([δελ])_(\{[^}]+\}|c(?![a-zA-Z0-9_]))", _indexed),
    (r"(?<![\w.$])\d(?:\.(?P<digits>\d+))?e[+-]\d+\b", _power),
    (r"(?<=\$) ?/(?=\$)", "$/$"),
)


def typeset(text: str) -> str:
    """Eigenvalues, norms, means and powers of ten in a cell as mathematics; what is mathematics or
    code stays.

    Example:
        >>> print(typeset("λ_1 is 5.8e-05"))
        $\\lambda_{1}$ is $5.8 \\cdot 10^{-5}$
    """
    if "$" not in text and "`" not in text:
        for plain, mathematics in SYMBOLS:
            text = re.sub(plain, mathematics, text)
    return signed(subscripted(text.replace("$$", "")))


def verdict_table(verdicts: list[Verdict], records: Iterable[Record] = ()) -> Markdown:
    """What was found of the chapter's claims, the verdict first; above it each claim once, on which
    net and data.

    Args:
        verdicts: The rows.
        records: What they were found on.
    """
    records = list(records)
    rows = _verdict_rows(verdicts)
    claims = dict.fromkeys(verdict.claim for verdict in verdicts)
    told = [f"**{claim}.** {typeset(CLAIMS[claim])}" for claim in claims]
    told += [what_was_measured(records)] if records else []
    notes = {"of": what_was_measured(records), "rows": [_noted(v) for v in verdicts]}
    text = "\n\n".join([*told, rows.data, notation(verdicts)])
    return Markdown(text, metadata={VERDICTS: notes})


def notation(verdicts: Iterable[Verdict]) -> str:
    """One line under the rows: how each kind of uncertainty that they have is written."""
    found = {kind for verdict in verdicts for kind in verdict.kinds}
    told = (f"*{kind}*: {how}, {what}" for kind, (how, what) in KINDS.items() if kind in found)
    return f"Uncertainty by {'; '.join(told)}."


def what_was_measured(records: list[Record]) -> str:
    """One line: net, p, data, samples N and seeds of the records; nets and data sets one by one."""
    kinds: dict[str, list[Record]] = {}
    for record in records:
        of, p = record.setting, f"p = {record.num_parameters:,}"
        kind = f"a model on drawn data, {p}" if of is None else f"{net_name(record)}, {p}"
        kinds.setdefault(kind if of is None else f"{kind}; {of.dataset}", []).append(record)
    return "; ".join(
        f"**{kind}, {sample_size(of)}{misfit(of)}**; {_seeds(of)}" for kind, of in kinds.items()
    )


def _seeds(records: list[Record]) -> str:
    seeds = {r.options["seed"] if r.setting is None else r.setting.init_seed for r in records}
    return f"{'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, sorted(seeds)))}"


def _claim(verdict: Verdict) -> str:
    return verdict.claim if verdict.judges else f"beside {verdict.claim}"


def _noted(verdict: Verdict) -> dict[str, str]:
    """A row as plain text, for readers other than a page."""
    return {
        "verdict": f"{MARKS[verdict.outcome]} {verdict.outcome.removesuffix(' at this scale')}",
        "claim": _claim(verdict),
        "measured": verdict.quantity,
        "value": verdict.value,
        "criterion": verdict.criterion,
        "decided": verdict.margin,
    }


def _verdict_rows(verdicts: list[Verdict]) -> Markdown:
    return table(
        pd.DataFrame(
            {
                "verdict": f"**{MARKS[v.outcome]} {v.outcome.removesuffix(' at this scale')}**",
                "claim": _claim(v),
                "measured": v.quantity,
                "value": v.value,
                "uncertain over": ", ".join(v.over),
                "holds if": v.criterion,
                "decided": v.margin,
            }
            for v in verdicts
        )
    )


def scale_note(records: list[Record]) -> Markdown:
    """What was measured, on what, and how long it took: one row for each net,
    data set and sample.
    """
    if not records:
        return Markdown("Nothing is measured yet.")
    facts = pd.DataFrame([_scale(record) for record in records])
    same = ["net", "parameters", "data", "examples", "device"]
    rows = facts.groupby(same, sort=False).agg(
        records=("seconds", "size"), seconds=("seconds", "sum"), measured=("measured", "max")
    )
    formats = {"parameters": ",", "examples": ",", "seconds": ",.0f"}
    return table(tabulated(rows.reset_index().to_dict("records"), formats))


def _scale(record: Record) -> dict[str, object]:
    setting, meta = record.setting, record.meta
    return {
        "net": net_name(record) if setting else "a model",
        "parameters": record.num_parameters,
        "data": setting.dataset if setting else "drawn",
        "examples": record.num_examples,
        "device": record.device,
        "seconds": meta["seconds"],
        "measured": meta["written"][:10].replace("-", "\u2011"),  # a date breaks in no line
    }


def net_columns(record: Record) -> dict[str, str]:
    """Of a row of a table of nets: which it is, on what, for how long it was trained, and how many
    of the images it misses.
    """
    return {
        "net": net_name(record),
        "data": f"{record.setting.dataset}, {sample_size([record])}",
        "trained": in_units(*trained_for([record])),
        "misclassified": f"{record.error_rate:.1%}",
    }


def said(sentence: str) -> Markdown:
    """A sentence in the place of a table that there is none of."""
    return Markdown(sentence)


def download(frame: pd.DataFrame, filename: str) -> HTML:
    """A link that saves the numbers behind a figure as CSV, all digits of them;
    they travel inside the page.
    """
    content = base64.b64encode(one_number_a_cell(frame).to_csv(index=False).encode()).decode()
    return HTML(
        f'<a download="{filename}" href="data:text/csv;base64,{content}">Download the numbers: '
        f"{filename}</a>"
    )


def one_number_a_cell(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with a column of its own for each number of a cell: "share", "share, 2", …"""
    columns = {}
    for name in frame.columns:
        values = [value if isinstance(value, tuple) else (value,) for value in frame[name]]
        for place in range(max(map(len, values), default=1)):
            heading = name if place == 0 else f"{name}, {place + 1}"
            columns[heading] = [value[place] if place < len(value) else None for value in values]
    return pd.DataFrame(columns)
