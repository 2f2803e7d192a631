"""Lanczos in fifteen lines, and pictures of what it does step by step."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import torch
from matplotlib.figure import Figure
from torch import Tensor

from hspec.plotting import COLOURS, panels

Pair = tuple[Tensor, Tensor]


def lanczos_in_fifteen_lines(A: Tensor, v: Tensor, m: int, again: bool = True) -> Pair:
    """T (m, m) and V (p, m) with A V ≈ V T; see `hspec.linalg.lanczos` for the exceptions."""
    V, alpha, beta = torch.zeros(len(v), m, dtype=v.dtype), [], []
    q, last = v / v.norm(), torch.zeros_like(v)
    for j in range(m):
        V[:, j] = q
        w = A @ q - (beta[-1] * last if j else 0)
        alpha.append(w @ q)
        w = w - alpha[-1] * q
        if again:
            w = w - V @ (V.T @ w)
        beta.append(w.norm())
        last, q = q, w / beta[-1]
    off = torch.stack(beta[:-1]) if m > 1 else torch.zeros(0, dtype=v.dtype)
    return torch.diag(torch.stack(alpha)) + torch.diag(off, 1) + torch.diag(off, -1), V


def source(function: Callable) -> str:
    """The code of a function, as it is run."""
    return inspect.getsource(function)


def bulk_with_outliers(size: int, outliers: list[float], seed: int) -> tuple[Tensor, Tensor]:
    """A random symmetric matrix with a semicircle on [−1, 1] and these eigenvalues;
    the matrix and its eigenvalues.
    """
    generator = torch.Generator().manual_seed(seed)
    basis, _ = torch.linalg.qr(torch.randn(size, size, dtype=torch.float64, generator=generator))
    wigner = torch.randn(size, size, dtype=torch.float64, generator=generator)
    bulk = torch.linalg.eigvalsh(wigner + wigner.T) / (8 * size) ** 0.5
    values = torch.cat([bulk[: size - len(outliers)], torch.tensor(outliers, dtype=torch.float64)])
    return basis @ torch.diag(values) @ basis.T, values.sort().values


def ritz_values(A: Tensor, num_steps: int, seed: int, again: bool = True) -> list[Tensor]:
    """The eigenvalues of T after 1, 2, …, m steps from one random start."""
    v = torch.randn(len(A), dtype=A.dtype, generator=torch.Generator().manual_seed(seed))
    T, _ = lanczos_in_fifteen_lines(A, v, num_steps, again)
    return [torch.linalg.eigvalsh(T[:m, :m]) for m in range(1, num_steps + 1)]


def draw_ritz_values(ritz: list[Tensor], exact: Tensor) -> Figure:
    """Ritz values over the steps; the matrix' own eigenvalues as ticks at the right edge."""
    figure, (axes,) = panels(1, 1, width=7.0, height=4.2)
    steps = [m for m, values in enumerate(ritz, 1) for _ in values]
    axes.plot(steps, torch.cat(ritz), ".", color=COLOURS["Hess"], markersize=4, label="Ritz values")
    last = (len(ritz) + 1) * torch.ones_like(exact)
    axes.plot(last, exact, "_", color=COLOURS["exact"], markersize=8, label="eigenvalues")
    axes.set(xlabel="steps, one product each", ylabel="eigenvalue")
    figure.legend(loc="outside upper right", ncols=2)  # there are dots wherever else it could be
    return figure


def quadrature(A: Tensor, num_steps: int, seed: int) -> tuple[Tensor, Tensor]:
    """Nodes and weights of the measure that the start vector sees: T's eigenvalues,
    squared first components.
    """
    v = torch.randn(len(A), dtype=A.dtype, generator=torch.Generator().manual_seed(seed))
    T, _ = lanczos_in_fifteen_lines(A, v, num_steps)
    nodes, vectors = torch.linalg.eigh(T)
    return nodes, vectors[0] ** 2


def draw_quadrature(nodes: Tensor, weights: Tensor, exact: Tensor) -> Figure:
    """The share of the spectrum below t: by the quadrature as a staircase,
    and of all eigenvalues.
    """
    figure, (axes,) = panels(1, 1, width=6.4)
    share = torch.arange(1, len(exact) + 1) / len(exact)
    axes.plot(exact, share, color=COLOURS["exact"], label=f"all {len(exact)} eigenvalues")
    axes.step(
        nodes,
        weights.cumsum(0),
        where="post",
        color=COLOURS["Hess"],
        label=f"{len(nodes)} nodes with weights",
    )
    axes.set(xlabel="t", ylabel="share of the spectrum below t")
    axes.legend()
    return figure
