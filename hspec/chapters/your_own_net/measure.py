"""Three nets of one's own, their spectra by one call each, a transformer's layers, and finite differences."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from pydoc_data.topics import topics

import numpy as np
import torch
from sklearn.datasets import load_diabetes, load_digits
from torch import Tensor, nn

from hspec.curvature import Risk, blocks, hessian
from hspec.linalg import eigsh
from hspec.yours import Spectrum, spectrum

LETTERS = "abcdefghijklmnopqrstuvwxyz "
STEPS = np.geomspace(1e-4, 1, 9)  # of finite differences, in units of a unit vector
CONTEXT = 16  # letters read before the one that is to be told


@dataclass(frozen=True)
class OwnNet:
    """A net as its owner has it: the module, trained; batches; the loss; and what it is, in words."""

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
    return {name: spectrum(own.module, own.batches, loss=own.loss, **options) for name, own in nets.items()}


def layer_edges(own: OwnNet, seed: int) -> dict[str, np.ndarray]:
    """The largest eigenvalue of each layer's own block of Hess and of G, and of the whole.

    Arrays: layer (L,) names, the last "all"; size (L,) coordinates; Hess and G (L,) eigenvalues.
    """
    risk = Risk.from_module(own.module, own.batches, loss=own.loss)
    parts, whole = blocks(risk), blocks(risk, by=lambda name: "all")
    rows = [(parts, name) for name in parts.names] + [(whole, "all")]
    matrices = {"Hess": "hessian", "G": "gauss_newton"}
    return {
        "layer": np.array([name for _, name in rows]),
        "size": np.array([of.sizes[name] for of, name in rows]),
    } | {
        matrix: np.array([_largest(getattr(of, method)(name), seed) for of, name in rows])
        for matrix, method in matrices.items()
    }


def against_differences(own: OwnNet, seed: int, steps: np.ndarray = STEPS) -> dict[str, np.ndarray]:
    """Relative error of Hess v by central differences of gradients, for a range of step lengths.

    (∇L(θ + εv) − ∇L(θ − εv)) / 2ε for a random unit v, in float32 as the net is; the reference is the
    exact product in float64. Arrays: step (k,); differences (k,); exact: the float32 product's own error.
    """
    risk = Risk.from_module(own.module, own.batches, loss=own.loss)
    double = Risk.from_module(own.module.double(), _in_float64(own.batches), loss=own.loss)
    own.module.float()
    v = torch.randn(risk.num_parameters, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    v /= torch.linalg.vector_norm(v)
    right = hessian(double) @ v

    def off(found: Tensor) -> float:
        return float(torch.linalg.vector_norm(found.double() - right) / torch.linalg.vector_norm(right))

    gradients = [[_gradient(own, sign * step * v.float()) for sign in (1, -1)] for step in steps.tolist()]
    errors = [
        off((up - down) / (2 * step)) for (up, down), step in zip(gradients, steps.tolist(), strict=True)
    ]
    return {
        "step": steps,
        "differences": np.array(errors),
        "exact": np.array(off(hessian(risk) @ v.float())),
    }


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
    """(its name, a text in LETTERS only): Shakespeare where the data folder has it, else Python's manual."""
    file = Path(os.environ.get("HSPEC_DATA", "data")) / "text" / "tinyshakespeare.txt"
    source, text = (
        ("Shakespeare", file.read_text()) if file.is_file() else ("Python's manual", "".join(topics.values()))
    )
    words = "".join(letter if letter in LETTERS else " " for letter in text.lower()).split()
    return source, " ".join(words)


def _trained(net: nn.Module, x: Tensor, y: Tensor, loss: nn.Module, about: str, epochs: int) -> OwnNet:
    optimiser = torch.optim.Adam(net.parameters(), lr=3e-3)
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(64):
            optimiser.zero_grad()
            loss(net(x[rows]), y[rows]).backward()
            optimiser.step()
    batches = list(zip(x.split(128), y.split(128), strict=True))
    return OwnNet(net.eval(), batches, loss, about)


def _largest(A, seed: int) -> float:
    return float(eigsh(A, 1, tol=1e-2, generator=torch.Generator().manual_seed(seed)).values[0])


def _gradient(own: OwnNet, shift: Tensor) -> Tensor:
    """∇L at θ + shift, by PyTorch, with θ put back."""
    parameters = list(own.module.parameters())
    theta = nn.utils.parameters_to_vector(parameters).detach()
    nn.utils.vector_to_parameters(theta + shift, parameters)
    x, y = (torch.cat(column) for column in zip(*own.batches, strict=True))
    g = torch.autograd.grad(own.loss(own.module(x), y), parameters)
    nn.utils.vector_to_parameters(theta, parameters)
    return torch.cat([t.flatten() for t in g])


def _in_float64(batches: list[tuple[Tensor, Tensor]]) -> list[tuple[Tensor, ...]]:
    return [tuple(t.double() if t.is_floating_point() else t for t in batch) for batch in batches]
