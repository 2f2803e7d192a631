"""The papers' claims, and the form in which a chapter says what became of them."""

from __future__ import annotations

from dataclasses import dataclass

CLAIMS = {
    "GKX-1": "A degree-90 quadrature reproduces the exact spectral density.",
    "GKX-2": "At initialisation the Hessian has large negative eigenvalues, gone within a few hundred steps.",
    "GKX-3": "After the first epoch the spectrum stabilises.",
    "GKX-4": "A ten-fold drop of the learning rate lowers the top eigenvalue.",
    "GKX-5": "At the end of training the spectrum is almost non-negative.",
    "GKX-6": "Removing batch normalisation brings outliers; with it they are absent.",
    "GKX-7": "With population statistics, batch normalisation neither removes outliers nor speeds training.",
    "P18-1": "The spectrum is a bulk plus about C outliers, on training and on test data.",
    "P18-2": "The outliers belong to G, the bulk to H; H has no outliers.",
    "P18-3": "log H follows a power law, not a semicircle.",
    "P18-4": "The bulk's upper tail belongs to G at small samples and few epochs, to H at large.",
    "P18-5": "G's outliers come from A1, the unsubtracted class means.",
    "P18-6": "The g_c and g_{c,c'} form a three-level hierarchy.",
    "P18-7": "G's spectrum shows two bulks, B1's and B2's.",
    "P18-8": "More epochs separate B1 from B2, more samples draw them closer; both separate A1 from B2.",
}

OUTCOMES = ("holds", "fails", "inconclusive at this scale")


@dataclass(frozen=True)
class Verdict:
    """What one run says of one claim.

    claim      id of :data:`CLAIMS`
    quantity   what was measured, in words
    value      the number with its uncertainty and unit, as text
    criterion  what the number must be for the claim to hold
    outcome    one of :data:`OUTCOMES`
    """

    claim: str
    quantity: str
    value: str
    criterion: str
    outcome: str

    def __post_init__(self):
        if self.claim not in CLAIMS:
            raise ValueError(f"unknown claim {self.claim!r}: known are {', '.join(CLAIMS)}")
        if self.outcome not in OUTCOMES:
            raise ValueError(f"outcome must be one of {OUTCOMES}, got {self.outcome!r}")


def outcome(holds: bool, *, decided: bool = True) -> str:
    """ "holds" or "fails", or the third where the run cannot decide."""
    return OUTCOMES[2] if not decided else OUTCOMES[0] if holds else OUTCOMES[1]
