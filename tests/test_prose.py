"""Sentences that a figure beside them once contradicted: none of them comes back."""

import json
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
REFUTED = (
    "The published codes run the bare recurrence in float32 for {math}`128` steps or",
    "the dashed estimated density lies on the solid exact density, from the high",
    "Every verdict names its data set and its number of parameters, so that nothing",
    "The instrument has an accuracy it promises:",
    "A handful stand far to the right of it, the *outliers*, and there are about as",
    "this one establishes that they are there, counts the outliers, and says",
    "descending, with a visible step near the dashed line at rank C.",
    "{doc}`bulk_and_outliers` found two things in the spectrum, a bulk and about $C$",
    "{doc}`outlier_ownership` shows that it is where the bulk comes from.",
    "The share of G is low where the training loss is large and high where it is",
    "Orange cells belong to G, green cells to H; the black line is where the share",
    "Within each panel the points with larger eigenvalues lie higher.",
    "And are the vanishing outliers perhaps an artefact of probes?",
    "Right, stacked bars, mostly of the colour of A1 up to rank C.",
    "What $A_1$ does not give comes first of all from $B_1$, the other part",
    "The curve of G follows that of B2 at small eigenvalues; to the right B2 ends",
    "Then comes a range that $B_1$ fills, with its few eigenvalues, and to the left",
    "Right, a narrow grey histogram below zero, a dashed line near it and a solid",
    "on a logarithmic eigenvalue axis, A1 rightmost, then B1, then B2.",
    "Here the same net is filmed. Its spectrum",
    "After some steps the averages have caught up, and the two Hessians become alike",
    "After some time of training the learning rate is divided by ten, and the loss",
    "The largest film that comes with the book; dotted lines are drops of its",
    "Ratios are averaged as logarithms over seeds, and a mean within two standard",
    "What remains of the claim at every loss is the distance between the lines.",
    "A net can be almost free of outliers for the optimiser, which sees the",
    "is the claim in its purest form: the same weights",
    "Where errors are those of single examples, as late in training, the gradient",
)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_sentence_says_what_was_refuted(notebook):
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    text = " ".join("".join(cell["source"]) + str(cell["metadata"]) for cell in cells)
    assert [sentence for sentence in REFUTED if sentence in text] == []
