"""One HTML page about a spectrum: everything is in it, nothing is loaded from elsewhere."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hspec.yours.result import Spectrum

TEMPLATE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem;
}}
figure {{ margin: 1.5rem 0; background: white; color: #222; border-radius: 6px; padding: .5rem; }}
figure img {{ width: 100%; height: auto; }}
figcaption {{ font-size: .9rem; padding: .5rem; }}
.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
th, td {{ text-align: right; padding: .2rem .8rem; border-bottom: 1px solid #8884; }}
th:first-child, td:first-child {{ text-align: left; }}
.numbers td, .numbers th {{ white-space: nowrap; }}
.facts td {{ text-align: left; vertical-align: top; }}
@media (max-width: 48rem) {{ th, td {{ padding: .2rem .4rem; }} }}
</style>
</head>
<body>
<h1>{title}</h1>
<p>{lead}</p>
<figure><picture><source media="(max-width: 48rem)" srcset="{stacked}"><img src="{beside}"
alt="{alt}"></picture><figcaption>{caption}</figcaption></figure>
<h2>Summary</h2>
<div class="wide numbers">{summary}</div>
<p>± is one standard error over probes. The share below zero counts eigenvalues below −10⁻⁵ ‖A‖; its
95 % interval holds the quadrature's rigorous bounds and the spread over probes.</p>
<h2>Largest eigenvalues</h2>
<div class="wide numbers">{eigenvalues}</div>
<p>An eigenvalue of the matrix lies within the residual ‖A q − λ q‖ of each value.{classes}</p>
<h2>How it was measured</h2>
<div class="wide facts">{facts}</div>
</body>
</html>
"""

CAPTION = (
    "Spectral density on a linear axis; share of eigenvalues per decade on a signed logarithmic "
    "axis; how "
    "many eigenvalues lie above t (thin: below −t). Bands: 95 % over probes, and in the counts the "
    "rigorous "
    "band of the quadrature."
)
CLASSES = (
    " A1 is the part of the Gauss-Newton matrix that the class means make, B1 the "
    "cross-class means; the residual beside them is the rounding of the largest."
)


def page(spectrum: Spectrum, beside: str, stacked: str) -> str:
    """The page, with the picture inside: its panels as SVG beside each other,
    and below each other for narrow screens.
    """
    facts = spectrum.facts
    cells = "".join(
        f"<tr><td>{html.escape(name.replace('_', ' '))}</td><td>{_told(value)}</td></tr>"
        for name, value in facts.items()
    )
    lead = (
        f"{', '.join(spectrum.matrices)} of {facts['num_parameters']:,} parameters on "
        f"{facts['num_examples']:,} examples, {facts['loss']} {facts['loss_value']:.4g}."
    )
    return TEMPLATE.format(
        title=html.escape(f"Spectrum of {facts['module']}"),
        lead=html.escape(lead),
        beside=_inside(beside),
        stacked=_inside(stacked),
        alt=html.escape(f"Spectra of {', '.join(spectrum.matrices)}: the tables have the numbers"),
        caption=CAPTION,
        summary=spectrum.table()._repr_html_(),
        eigenvalues=spectrum.eigenvalues()._repr_html_(),
        classes=CLASSES if spectrum.class_values else "",
        facts=f"<table><tbody>{cells}</tbody></table>",
    )


def _inside(svg: str) -> str:
    """A picture as an address that holds it: two of them share no names within the page."""
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"


def _told(value: object) -> str:
    if isinstance(value, Mapping):
        return "<br>".join(f"{html.escape(str(k))}: {_told(v)}" for k, v in value.items())
    return html.escape(f"{value:.6g}" if isinstance(value, float) else str(value))
