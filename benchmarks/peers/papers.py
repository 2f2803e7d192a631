"""The papers' own pipeline, written from its description: double backward over a loader at every
product, the bare three-term recurrence, subspace iteration for the outliers, a double loop over
classes for the class means.

Source: P18a, P19 (published settings)
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.nets import Net, flat, unflatten
from benchmarks.peers.base import Peer, Product, plain_measure
from hspec.linalg import SpectralMeasure

RANGE_STEPS = 64
DENSITY_STEPS = 256
SUBSPACE_ITERATIONS = 128
BATCH_SIZE = 128  # of the loader, as in training


def products_for_one_figure(num_classes: int) -> int:
    """Outliers, range and density: 128·C + 64 + 256."""
    return SUBSPACE_ITERATIONS * num_classes + RANGE_STEPS + DENSITY_STEPS


def hessian_product(net: Net) -> Product:
    """Hess v by a double backward pass, first-order graphs built anew for every v."""

    def product(v: Tensor) -> Tensor:
        pieces, total = unflatten(v, net.parameters), torch.zeros_like(v)
        for x, y in net.batches:
            loss = F.cross_entropy(net.module(x), y, reduction="sum")
            gradient = torch.autograd.grad(loss, net.parameters, create_graph=True)
            total += flat(torch.autograd.grad(gradient, net.parameters, pieces))
        return total / net.num_examples

    return product


def gauss_newton_product(net: Net) -> Product:
    """G v = (1/N) Σ Jᵀ M J v: J v as the derivative of Jᵀ u in u, twice backward."""

    def product(v: Tensor) -> Tensor:
        pieces, total = unflatten(v, net.parameters), torch.zeros_like(v)
        for x, _ in net.batches:
            logits = net.module(x)
            u = torch.zeros_like(logits, requires_grad=True)
            pulled = torch.autograd.grad(logits, net.parameters, u, create_graph=True)
            (Jv,) = torch.autograd.grad(pulled, u, pieces, retain_graph=True)
            p = logits.detach().softmax(1)
            MJv = p * Jv - p * (p * Jv).sum(1, keepdim=True)  # M = diag p − p pᵀ
            total += flat(torch.autograd.grad(logits, net.parameters, MJv))
        return total / net.num_examples

    return product


def three_term_recurrence(product: Product, v: Tensor, num_steps: int) -> tuple[Tensor, Tensor]:
    """α (m,), β (m − 1,) of the bare recurrence; nothing keeps the vectors orthogonal."""
    alphas, betas = [], []
    v, before = v / v.norm(), torch.zeros_like(v)
    for _ in range(num_steps):
        w = product(v)
        if betas:
            w -= betas[-1] * before
        alphas.append(w @ v)
        w -= alphas[-1] * v
        betas.append(w.norm())
        before, v = v, w / betas[-1]
    return torch.stack(alphas), torch.stack(betas[:-1])


def quadrature(net: Net, num_steps: int, num_probes: int, seed: int) -> SpectralMeasure:
    """The density's Lanczos runs; the 64 steps for the range are left out,
    in the pipeline's favour.
    """
    generator, product = torch.Generator().manual_seed(seed), hessian_product(net)
    nodes, weights = [], []
    for _ in range(num_probes):
        v = torch.randn(net.num_parameters, generator=generator).to(net.device, net.dtype)
        alphas, betas = (t.double().cpu() for t in three_term_recurrence(product, v, num_steps))
        theta, S = torch.linalg.eigh(
            torch.diag(alphas) + torch.diag(betas, 1) + torch.diag(betas, -1)
        )
        nodes.append(theta.numpy())
        weights.append((S[0] ** 2).numpy())
    return plain_measure(nodes, weights, net.num_parameters)


def subspace_iteration(
    product: Product, Q: Tensor, iterations: int = SUBSPACE_ITERATIONS
) -> tuple[Tensor, Tensor]:
    """(Rayleigh quotients (C,), residual norms (C,)) after so many products with each
    column of Q (p, C).
    """
    for _ in range(iterations):
        Q = torch.linalg.qr(torch.stack([product(q) for q in Q.T], 1))[0]
    AQ = torch.stack([product(q) for q in Q.T], 1)
    values, U = torch.linalg.eigh(Q.T @ AQ)
    return values.flip(0), (AQ @ U - Q @ U * values).norm(dim=0).flip(0)


def class_means(net: Net, num_classes: int) -> Tensor:
    """g_{c,c'} (C, C, p): for every batch, true class c and label c',
    one backward pass over the batch.
    """
    sums = torch.zeros(
        num_classes, num_classes, net.num_parameters, device=net.device, dtype=net.dtype
    )
    masses = torch.zeros(num_classes, num_classes, device=net.device, dtype=net.dtype)
    for x, y in net.batches:
        logits = net.module(x)
        p = logits.detach().softmax(1)
        for c in range(num_classes):
            for label in range(num_classes):
                mass = p[:, label] * (y == c)
                slope = mass[:, None] * (F.one_hot(torch.full_like(y, label), num_classes) - p)
                sums[c, label] += flat(
                    torch.autograd.grad(logits, net.parameters, slope, retain_graph=True)
                )
                masses[c, label] += mass.sum()
    return sums / masses[..., None]


PEERS = [
    Peer("papers' pipeline", hessian=hessian_product, quadrature=quadrature, reorthogonalizes=False)
]
