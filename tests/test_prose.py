"""No sentence outside generated text says how a run came out,
nor does one come back that a figure contradicted.
"""

import json
import re
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


# What a figure or a run is said to do: a thing that is seen, a few words, and a verb that only a
# run can make true.
SEEN = (
    r"lines?|curves?|panels?|branch(?:es)?|bars?|ticks?|dots?|points?|cells?|columns?|rows?|bands?|stripes?|colours?|"
    r"spectr(?:um|a)|densit(?:y|ies)|eigenvalues?|outliers?|bulks?|tails?|flanks?|shares?|ratios?|exponents?|"
    r"directions?|controls?|λ"
)
DOES = (
    r"coincides?|falls?|rises?|climbs?|agrees?|differs?|vanish(?:es)?|lies?|cross(?:es)?|reach(?:es)?|stands?|wins?|"
    r"dominates?|shrinks?|grows?|moves?|approach(?:es)?|stays?|overlaps?|disappears?|separates?|gains?|follows?|"
    r"(?:has|have) ended|(?:is|are) (?:\w+ "
    r")?(?:large|small|high|low|wide|narrow|bright|near|flat|far|close|symmetric|"
    r"gone|left|same|equal|alike|larger|smaller|higher|lower|wider|one|zero|visible|tiny|modest|most)"
)
ASSERTS = re.compile(rf"\b(?:{SEEN})\b(?: [\w$^{{}}λ'-]+){{0,5}}? (?:{DOES})\b", re.IGNORECASE)
# It is asked, supposed, defined, proved, or said by somebody else.
OPEN = re.compile(
    r"\b(?:if|whether|where|when|would|may|might|can|could|should|how|unless|until|which|claims?|says|papers?|"
    r"published|asks?|let|either|whatever|by definition|inequalit\w+|Weyl|dashed line "
    r"(?:stands|marks)|grey ground)\b|"
    r"\?|\{cite|\{doc|\{eq|GKX|P18|P19|P20",
    re.IGNORECASE,
)
TRUE_OF_EVERY_RUN = (  # definitions, theorems, and what follows from how a thing is made
    "is what the wrong labels $c'$ of one class differ by",
    "But $G$ is a large matrix made of $NC$ vectors",
    "an eigenvalue lies within that distance",
    "Most eigenvalues are nearly zero, on both sides of it, and stay so",
    "the same distance between two probes' estimates",
    "The two panels need not agree.",
    "A net that meets the first criterion and misses the second",
    "is the curvature along the gradient",
    "It is one for a point deep inside a tight cluster",
    "In high dimension silhouettes are modest even for clusters that never overlap",
    "have up to $N(C-1)$ eigenvalues that are not zero",
    "pairs of cells of the same column are compared",
    "the fewer examples lie nearer to a wrong class mean",
    "$W$ minimises the cross-entropy of a finite sample",
    "(a stronger colour is a larger t)",
    "But an example that is in doubt between the classes $a$ and $b$",
    "differ in their training samples",
    "The full derivative of $g$ is not symmetric",
    "its eigenvalues settle into Wigner's semicircle",
    "The bulk is what is left on their complement",
    "The dashed line is one half.",
    "Lines that rise to the right say that outliers come with fitting",
    "The weights of $A_1$ follow them, an unweighted mean does not.",
    "Below the dashed line all of the top $C$ are gone.",
)


def sentences(text):
    """Of Markdown, without code, formulas on lines of their own, headings, quotes and tables."""
    text = re.sub(r"```.*?```|\$\$.*?\$\$", "", text, flags=re.DOTALL)
    lines = [line for line in text.splitlines() if not line.startswith((">", "#", "|", "$"))]
    return [sentence.strip() for sentence in re.split(r"(?<=[.!?])\s+|\n\n", "\n".join(lines))]


def asserts_an_outcome(sentence):
    if any(known in sentence for known in TRUE_OF_EVERY_RUN):
        return False
    return bool(ASSERTS.search(re.sub(r"\$[^$]*\$", "λ", sentence))) and not OPEN.search(sentence)


# The others, such as the primer, have nothing that another run could contradict.
OF_RECORDS = [path for path in NOTEBOOKS if "in_this_run(" in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize("notebook", OF_RECORDS, ids=lambda path: path.stem)
def test_no_sentence_says_how_a_run_came_out(notebook):
    """Let `findings` say it, ask it, or, if it is a definition or a theorem,
    name it in TRUE_OF_EVERY_RUN.
    """
    told = []
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        caption = cell["metadata"].get("mystnb", {}).get("figure", {}).get("caption", "")
        text = "".join(cell["source"]) if cell["cell_type"] == "markdown" else caption
        told += filter(asserts_an_outcome, sentences(text))
    assert told == []


@pytest.mark.parametrize(
    "sentence",
    [
        "The two branches of $H$ nearly coincide.",
        "The line then climbs towards zero.",
        "At the right the curves of Hess and $G$ are one, and $H$ has ended long before.",
        "The largest eigenvalues of $G$ lie over the ticks of $A_1$: these are the outliers.",
        "The share of G is low where the training loss is large and high where it is "
        "small.".replace("where", "as"),
        "The curve of G follows that of B2 at small eigenvalues.",
        "The directions next to the outliers are the most $G$-like, and $H$ gains as one walks "
        "into the bulk.",
        "By trace the columns agree.",
        "The share of all eigenvalues that lies in the window is small.",
    ],
)
def test_an_outcome_is_recognised(sentence):
    assert asserts_an_outcome(sentence)
    assert not asserts_an_outcome(f"Whether {sentence}")
