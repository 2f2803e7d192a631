"""Figures in two tones: one SVG that is light by itself and dark where a page asks for
`figure.svg#dark`.

Neutral inks change places (black lines become pale ones, white gaps the page's dark), colours too
deep for a dark page are lightened in their own hue, and the cells of maps stay as they are: their
scale is in colours.
"""

from __future__ import annotations

import colorsys
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

from matplotlib.path import Path as Outline

SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
PAGE = "#121212"  # the theme's dark page
READABLE = 3.5  # least contrast of a line with the page; WCAG asks for 3
NEUTRAL = 0.06  # largest difference of the channels of a grey, of one
COLOUR = re.compile(r"\b(fill|stroke): (#[0-9a-f]{6})\b")
DECIMALS = re.compile(r"(\.\d\d)\d+")  # hundredths of a point
LINE = re.compile(r"\s*M((?: ?-?[\d.]+ -?[\d.]+\s*L?)+)(z?)\s*")
VISIBLE = 0.1  # points by which an outline may move
COORDINATES = ("d", "x", "y", "width", "height")


def give_both_tones(file: Path) -> None:
    """Replace the file's SVG by that in two tones, where matplotlib drew it."""
    drawn = file.read_text(encoding="utf-8")
    if "matplotlib" in drawn[:2000]:
        file.write_text(two_toned(drawn), encoding="utf-8")


def two_toned(svg: str) -> str:
    """The SVG of a figure of matplotlib, without its white ground, with both tones inside.

    Raises:
        xml.etree.ElementTree.ParseError: for what is no XML.
    """
    ET.register_namespace("", SVG)
    ET.register_namespace("xlink", XLINK)
    root = ET.fromstring(svg)
    for metadata in root.findall(f"{{{SVG}}}metadata"):
        root.remove(metadata)
    root.set("id", "dark")
    colours: set[str] = set()
    for element in _inked(root):
        style = element.get("style", "")
        element.set("style", COLOUR.sub(lambda found: _variable(found, colours), style))
    _hoist_styles(root)
    # Text that names no colour is black, and inherits.
    root.set("style", f"fill: var(--ink); {root.get('style', '')}")
    tones = "".join(f"--{name[1:]}:{in_the_dark(name)};" for name in sorted(colours))
    ET.SubElement(
        root, f"{{{SVG}}}style"
    ).text = f"svg{{--ink:#000000}}svg:target{{--ink:{in_the_dark('#000000')};{tones}}}"
    for element in root.iter():
        for name in COORDINATES:
            if name in element.attrib:
                element.set(name, DECIMALS.sub(r"\1", _simplified(element.get(name))))
    return ET.tostring(root, encoding="unicode")


def _inked(element: ET.Element) -> Iterator[ET.Element]:
    """Every element with colours of its own but those of maps;
    the grounds of figure and panels lose theirs.
    """
    name = element.get("id", "")
    if name.startswith("QuadMesh"):
        return
    if re.match(r"(figure|axes)_", name):
        ground = next(
            (child for child in element if child.get("id", "").startswith("patch_")), None
        )
        for path in ground if ground is not None else ():
            path.set("style", "fill: none")
    if COLOUR.search(element.get("style", "")):
        yield element
    for child in element:
        yield from _inked(child)


def _hoist_styles(root: ET.Element) -> None:
    """Markers of one style get it from their group, once: half of a file of many dots."""
    for group in root.iter(f"{{{SVG}}}g"):
        styles = {(child.tag, child.get("style")) for child in group}
        if len(styles) == 1 and "style" not in group.attrib:
            tag, style = styles.pop()
            if tag == f"{{{SVG}}}use" and style:
                group.set("style", style)
                for child in group:
                    del child.attrib["style"]


def _simplified(outline: str) -> str:
    """The one line or polygon "M x y L x y … z" without the points that nobody can see;
    others as they are.
    """
    found = LINE.fullmatch(outline)
    if not found:
        return outline
    vertices = [tuple(map(float, pair.split())) for pair in found[1].split("L")]
    path = Outline(vertices)
    path.should_simplify, path.simplify_threshold = True, VISIBLE
    kept = path.cleaned(simplify=True)
    points = [
        f"{x:.2f} {y:.2f}" for (x, y), code in zip(kept.vertices, kept.codes, strict=True) if code
    ]
    return "M " + "L".join(points) + found[2]


def _variable(found: re.Match, colours: set[str]) -> str:
    colours.add(found[2])
    return f"{found[1]}: var(--{found[2][1:]}, {found[2]})"


def in_the_dark(colour: str) -> str:
    """What "#rrggbb" becomes on the dark page.

    Example:
        >>> in_the_dark("#ffffff"), in_the_dark("#222222"), in_the_dark("#d55e00")
        ('#121212', '#cfcfcf', '#d55e00')
    """
    channels = _channels(colour)
    if colour == "#ffffff":
        return PAGE
    if max(channels) - min(channels) < NEUTRAL:
        grey = 0.92 - 0.8 * sum(channels) / 3
        return _name((grey, grey, grey))
    hue, light, saturation = colorsys.rgb_to_hls(*channels)
    while contrast(_name(channels), PAGE) < READABLE:
        light += 0.01
        channels = colorsys.hls_to_rgb(hue, light, saturation)
    return _name(channels)


def contrast(one: str, other: str) -> float:
    """Of two colours "#rrggbb", from 1 to 21.

    Source: WCAG 2.2 (contrast ratio, relative luminance).
    """
    low, high = sorted(_luminance(_channels(colour)) for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


def _luminance(channels: tuple[float, ...]) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(share * c for share, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def _channels(colour: str) -> tuple[float, ...]:
    return tuple(int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))


def _name(channels: tuple[float, ...]) -> str:
    return "#" + "".join(f"{round(255 * channel):02x}" for channel in channels)
