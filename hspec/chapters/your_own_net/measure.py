"""Three nets of one's own, their spectra by one call each, a transformer's layers,
and finite differences.
"""

from __future__ import annotations

import os
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from pydoc_data.topics import topics

import numpy as np
import torch
from sklearn.datasets import load_diabetes, load_digits
from torch import Tensor, nn

from hspec.curvature import Risk
from hspec.experiments import Experiment, Record, Store, load_or_run
from hspec.experiments.measure import measure
from hspec.experiments.sentence_classifier import Missing, sentence_classifier
from hspec.experiments.task import Task
from hspec.keys import digest
from hspec.yours import MatrixSpectrum, Spectrum, spectrum, spectrum_of
from hspec.yours.comparisons import against_differences, layer_edges

LETTERS = "abcdefghijklmnopqrstuvwxyz "
CONTEXT = 16  # letters read before the one that is to be told


@dataclass(frozen=True)
class OwnNet:
    """A net as its owner has it: the module, trained; batches; the loss; and what it is,
    in words.
    """

    module: nn.Module
    batches: list[tuple[Tensor, Tensor]]
    loss: nn.Module
    about: str


class Reader(nn.Module):
    """A two-layer transformer encoder: the next letter from the CONTEXT letters before it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.letters = nn.Embedding(len(LETTERS), width)
        self.places = nn.Parameter(0.02 * torch.randn(CONTEXT, width))
        layer = nn.TransformerEncoderLayer(width, 4, 2 * width, 0.0, "gelu", batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(width, len(LETTERS))

    def forward(self, ids: Tensor) -> Tensor:
        """Letters (n, CONTEXT) to logits (n, C)."""
        return self.head(self.encoder(self.letters(ids) + self.places)[:, -1])


def own_nets(num_examples: int, epochs: int, width: int, seed: int) -> dict[str, OwnNet]:
    """The three nets, trained by Adam for a while: "images", "text" and "regression"."""
    make = {"images": _images, "text": _text, "regression": _regression}
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        return {name: _trained(*one(num_examples, width), epochs) for name, one in make.items()}


def own_spectra(
    nets: dict[str, OwnNet], *, top: int, num_steps: int, num_probes: int, seed: int
) -> dict[str, Spectrum]:
    """One call a net."""
    options = {"top": top, "steps": num_steps, "probes": num_probes, "seed": seed}
    return {
        name: spectrum(own.module, own.batches, loss=own.loss, **options)
        for name, own in nets.items()
    }


def own_risk(own: OwnNet) -> Risk:
    """Its risk, whose graphs the comparisons use."""
    return Risk.from_module(own.module, own.batches, loss=own.loss)


def encoder_record(
    *,
    per_class: int,
    epochs: int,
    top: int,
    num_steps: int,
    num_probes: int,
    seed: int,
    store: Store | None = None,
) -> TextEncoder:
    """The pretrained encoder's record: of these options, measured now where it is not stored.

    Where ``per_class`` is 0, or its weights or questions are not on this machine, the record that
    comes with the book; where there is none either, that of a small stand-in, the chapter's
    transformer of two layers.
    """
    store, sizes = store or Store(), {"top": top, "num_steps": num_steps, "num_probes": num_probes}
    options = sizes | {"per_class": per_class, "epochs": epochs, "seed": seed}
    if per_class:
        try:
            return load_or_run(Experiment(text_encoder, options=options), store)
        except Missing as error:
            warnings.warn(f"{error}: what was measured elsewhere is shown", stacklevel=2)
    small = Experiment(text_encoder, options=options | {"per_class": 8, "pretrained": False})
    return store.largest_published(text_encoder) or load_or_run(small, store)


class TextEncoder(Record):
    """What `text_encoder` measured."""

    @property
    def spectra(self) -> Spectrum:
        """Of Hess and G, with the class structure."""
        matrices = {
            name: MatrixSpectrum(
                self.spectrum(f"{name}_"),
                self[f"{name}_values"],
                self[f"{name}_residuals"],
                None,
                products=int(self[f"{name}_products"]),
                seconds=float(self[f"{name}_seconds"]),
                is_exact=False,
                is_semidefinite=name == "G",
            )
            for name in ("Hess", "G")
        }
        facts = {
            name: self[name].item() for name in ("num_parameters", "num_examples", "loss_value")
        }
        classes = {name: self[name] for name in ("A1", "B1")}
        return Spectrum(matrices, classes, facts | {"loss": "cross-entropy"})

    @property
    def edges(self) -> dict[str, np.ndarray]:
        """As `layer_edges` gives them."""
        return {name: self[f"edge_{name}"] for name in ("layer", "size", "Hess", "G")}

    @property
    def errors(self) -> dict[str, np.ndarray]:
        """As `against_differences` gives them."""
        return {name: self[f"error_{name}"] for name in ("step", "differences", "exact")}


@measure(version=1, result=TextEncoder)
def text_encoder(
    task: Task,
    *,
    per_class: int = 3,
    epochs: int = 3,
    top: int = 6,
    num_steps: int = 15,
    num_probes: int = 2,
    seed: int = 0,
    pretrained: bool = True,
) -> dict[str, np.ndarray]:
    """MiniLM-L6, taught to tell what a question asks for: Hess and G, layers, classes, and
    differences.

    θ is the six layers and the head; the embeddings are fixed. Not ``pretrained``: the small
    transformer that reads letters, whole, on as many examples, in its place. Arrays: Hess_… and
    G_…: the measure, values, residuals, products, seconds; A1, B1; edge_…, error_…: of
    `layer_edges` and `against_differences`; loss_value, error_rate, num_classes, num_examples,
    num_parameters.
    Source: P18a (Hess, G and the class means), of a net that it does not treat.
    """
    net, batches = (sentence_classifier if pretrained else _stand_in)(per_class, epochs, seed)
    task.fingerprints["questions"] = digest([(x.tolist(), y.tolist()) for x, y in batches])
    risk = Risk.from_module(net, batches)
    settings = {"top": top, "steps": num_steps, "probes": num_probes, "seed": seed, "tol": 1e-2}
    found = spectrum_of(
        risk, matrices=("Hess", "G"), checkpoint=task.folder, progress=task.progress, **settings
    )
    arrays = {
        name: np.asarray(found.facts[name])
        for name in ("num_parameters", "num_examples", "loss_value")
    }
    for name, one in found.matrices.items():
        own = {
            "values": one.values,
            "residuals": one.residuals,
            "products": one.products,
            "seconds": one.seconds,
        }
        arrays |= {
            f"{name}_{key}": np.asarray(a) for key, a in (one.measure.to_arrays() | own).items()
        }
    edges = layer_edges(risk, by=part_of, seed=seed, tol=3e-2)
    arrays |= {f"edge_{key}": a for key, a in edges.items()} | dict(found.class_values)
    facts = {
        "error_rate": np.asarray(risk.error_rate()),
        "num_classes": np.asarray(risk.num_classes),
    }
    del risk, found  # and the graphs that they keep
    errors = against_differences(net, batches, seed=seed)
    return arrays | facts | {f"error_{key}": a for key, a in errors.items()}


def part_of(parameter: str) -> str:
    """A block of an encoder: one of its layers, or what is before or after them."""
    layer = re.search(r"layers\.(\d+)", parameter)
    return f"layer {int(layer[1]) + 1}" if layer else parameter.partition(".")[0]


def _stand_in(
    per_class: int, epochs: int, seed: int
) -> tuple[nn.Module, list[tuple[Tensor, Tensor]]]:
    own = own_nets(6 * per_class, epochs, 16, seed)["text"]
    return own.module, own.batches


def _images(num_examples: int, width: int):
    """Handwritten digits, 8 by 8, and a convolutional net of ten lines."""
    net = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64, 10),
    )
    digits = load_digits()
    x = torch.tensor(digits.images[:num_examples, None] / 16, dtype=torch.float32)
    y = torch.tensor(digits.target[:num_examples])
    return net, x, y, nn.CrossEntropyLoss(), "digits, convolutional net"


def _text(num_examples: int, width: int):
    """Contexts spread evenly over a text, each with the letter that follows."""
    source, text = _letters()
    ids = torch.tensor([LETTERS.index(letter) for letter in text])
    starts = torch.linspace(0, len(ids) - CONTEXT - 1, num_examples).long()
    x = torch.stack([ids[start : start + CONTEXT] for start in starts.tolist()])
    return Reader(width), x, ids[starts + CONTEXT], nn.CrossEntropyLoss(), f"{source}, transformer"


def _regression(num_examples: int, width: int):
    """Progression of diabetes from ten measurements of a patient, standardised."""
    data = load_diabetes(return_X_y=True, scaled=True)
    x, y = (torch.tensor(t, dtype=torch.float32)[:num_examples] for t in data)
    x = x / x.std(0)
    y = ((y - y.mean()) / y.std())[:, None]
    net = nn.Sequential(
        nn.Linear(10, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 1)
    )
    return net, x, y, nn.MSELoss(), "diabetes, regression"


def _letters() -> tuple[str, str]:
    """(its name, a text in LETTERS only): Shakespeare where the data folder has it,
    else Python's manual.
    """
    file = Path(os.environ.get("HSPEC_DATA", "data")) / "text" / "tinyshakespeare.txt"
    source, text = (
        ("Shakespeare", file.read_text())
        if file.is_file()
        else ("Python's manual", "".join(topics.values()))
    )
    words = "".join(letter if letter in LETTERS else " " for letter in text.lower()).split()
    return source, " ".join(words)


def _trained(
    net: nn.Module, x: Tensor, y: Tensor, loss: nn.Module, about: str, epochs: int
) -> OwnNet:
    optimiser = torch.optim.Adam(net.parameters(), lr=3e-3)
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(64):
            optimiser.zero_grad()
            loss(net(x[rows]), y[rows]).backward()
            optimiser.step()
    batches = list(zip(x.split(128), y.split(128), strict=True))
    return OwnNet(net.eval(), batches, loss, about)
