"""Text in which there are numbers and mathematics; and where outputs of notebooks keep theirs."""

from __future__ import annotations

import re

# Under which the metadata of an output has what it says of itself, and the rows of its verdicts.
TOLD, VERDICTS = "hspec", "hspec-verdicts"
# Of TeX, by name; of what is not named here its name is left.
SYMBOLS = {
    **{"alpha": "α", "beta": "β", "delta": "δ", "varepsilon": "ε", "theta": "θ", "lambda": "λ"},
    **{"pi": "π", "rho": "ρ", "sigma": "σ", "tau": "τ", "Delta": "Δ", "Sigma": "Σ", "ell": "ℓ"},
    **{"cdot": "·", "le": "≤", "leq": "≤", "ge": "≥", "approx": "≈", "times": "×", "top": "ᵀ"},
    **{
        "dots": "…",
        "ldots": "…",
        "sqrt": "√",
        "nabla": "∇",
        "sum": "Σ",
        "mathrm": "",
        "mathdefault": "",
        "text": "",
        "operatorname": "",
    },
}
CODE_OR_MATHEMATICS = re.compile(r"(\$[^$]*\$|`[^`]*`)")


def signed(text: str) -> str:
    """The text with minus signs before its numbers, and none before a zero; mathematics and code
    stay.

    Example:
        >>> print(signed("-0.22 [-0.5 … -0.00], P18-3, $-1$"))
        −0.22 [−0.5 … 0.00], P18-3, $-1$
    """
    parts = CODE_OR_MATHEMATICS.split(text)
    for place in range(0, len(parts), 2):
        plain = re.sub(r"(?<![\w.)\]])-(?=0(\.0*)?(?![\d.]))", "", parts[place])
        parts[place] = re.sub(r"(?<![\w.)\]])-(?=\.?\d)", "−", plain)
    return "".join(parts)


MATRICES = re.compile(r"\b([AB][12]|G[0-3](\+2)?)(?![\w(])")
LOWERED = str.maketrans("0123+", "₀₁₂₃₊")


def subscripted(text: str) -> str:
    """The text with the parts of G as they are printed, A1 as A₁; mathematics and code stay.

    Example:
        >>> subscripted("G1+2 over A1, $A_1$, `A1`, A1(means)")
        'G₁₊₂ over A₁, $A_1$, `A1`, A1(means)'
    """
    parts = CODE_OR_MATHEMATICS.split(text)
    parts[::2] = [MATRICES.sub(lambda found: found[0].translate(LOWERED), p) for p in parts[::2]]
    return "".join(parts)


def counted(number: int, noun: str) -> str:
    """A number with its noun, which has an s unless there is one of it.

    Example:
        >>> counted(1, "pair"), counted(1234, "probe"), counted(2, "class")
        ('1 pair', '1,234 probes', '2 classes')
    """
    many = "" if number == 1 else "es" if noun.endswith("s") else "s"
    return f"{number:,} {noun}{many}"


def plain(text: str) -> str:
    r"""A label without the marks of typesetting.

    Example:
        >>> plain(r"$\lambda_{11}$ of Hess")
        'λ_11 of Hess'
    """
    text = re.sub(r" ?(\\cdot) ?", r"\1", text).replace(r"\ ", " ")
    text = re.sub(r"\\([A-Za-z]+)", lambda found: SYMBOLS.get(found[1], found[1]), text)
    return re.sub(r"[${}]", "", text).replace("^ᵀ", "ᵀ").strip()
