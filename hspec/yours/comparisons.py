"""What a spectrum is compared with: the layers' own blocks,
and products by finite differences."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import Tensor, nn

from hspec.curvature import Risk, blocks, hessian
from hspec.curvature.blocks import layer_of
from hspec.linalg import LinearOperator, eigsh
from hspec.linalg.autocast import without_autocast

STEPS = np.geomspace(1e-4, 1, 9)  # of finite differences, in units of a unit vector


@without_autocast
def layer_edges(
    risk: Risk, *, by: Callable[[str], str] = layer_of, seed: int = 0, tol: float = 1e-2
) -> dict[str, np.ndarray]:
    """The largest eigenvalue of each layer's own block of Hess and of G, and of the whole.

    Args:
        risk: whose graphs are used.
        by: a parameter's name ↦ its block's name; see `blocks`.
        seed: of start vectors; tol: of residuals, relative to the eigenvalue.

    Returns:
        Arrays: layer (L,) names, the last "all"; size (L,) coordinates; Hess and G (L,)
            eigenvalues.

    Example:
        >>> net = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))
        >>> risk = Risk.from_module(net, [(torch.ones(5, 4), torch.tensor([0, 1, 1, 0, 1]))])
        >>> layer_edges(risk)["layer"].tolist()
        ['0', '2', 'all']
    """
    parts, whole = blocks(risk, by), blocks(risk, by=lambda name: "all")
    rows = [(parts, name) for name in parts.names] + [(whole, "all")]
    found: dict[str, list] = {
        "layer": [name for _, name in rows],
        "size": [of.sizes[name] for of, name in rows],
    }
    for matrix, method in {"Hess": "hessian", "G": "gauss_newton"}.items():
        found[matrix] = [_largest(getattr(of, method)(name), seed, tol) for of, name in rows]
    return {name: np.array(values) for name, values in found.items()}


@without_autocast
def against_differences(
    module: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    *,
    loss: nn.Module | None = None,
    seed: int = 0,
    steps: np.ndarray = STEPS,
) -> dict[str, np.ndarray]:
    """Relative error of Hess v by central differences of gradients, for a range of step lengths.

    (∇L(θ + εv) − ∇L(θ − εv)) / 2ε for a random unit v, in the net's own float32; the reference is
    the exact product in float64.

    Args:
        module: in float32, in eval mode; it is not modified.
        batches: pairs (x, y); loss: as for `spectrum`; seed: of v; steps: ε, (k,).

    Returns:
        Arrays: step (k,); differences (k,); exact: the float32 product's own error.

    Source: Pearlmutter 1994, section 2 (products by differences, and what is wrong with them).
    """
    risk = Risk.from_module(module, batches, loss=loss)
    double = Risk.from_module(module, batches, loss=loss, dtype=torch.float64, check=False)
    v = torch.randn(
        risk.num_parameters, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    )
    v /= torch.linalg.vector_norm(v)
    right = hessian(double) @ v

    def off(found: Tensor) -> float:
        return float(
            torch.linalg.vector_norm(found.double() - right) / torch.linalg.vector_norm(right)
        )

    def gradient(shift: Tensor) -> Tensor:
        return Risk.from_module(_shifted(module, shift), batches, loss=loss, check=False).gradient()

    exact = off(hessian(risk) @ v.float())
    del risk, double  # and the graphs that they keep
    errors = [
        off((gradient(step * v.float()) - gradient(-step * v.float())) / (2 * step))
        for step in steps.tolist()
    ]
    return {"step": steps, "differences": np.array(errors), "exact": np.array(exact)}


def _shifted(module: nn.Module, shift: Tensor) -> nn.Module:
    """A copy of the module at θ + shift."""
    moved = copy.deepcopy(module)
    parameters = [p for p in moved.parameters() if p.requires_grad]
    theta = nn.utils.parameters_to_vector(parameters).detach()
    nn.utils.vector_to_parameters(theta + shift, parameters)
    return moved


def _largest(A: LinearOperator, seed: int, tol: float) -> float:
    return float(eigsh(A, 1, tol=tol, generator=torch.Generator().manual_seed(seed)).values[0])
