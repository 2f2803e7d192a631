"""Products for "the top C eigenpairs to residual 1e-3 λ_C, the range, and the bulk"."""

import numpy as np
import scipy.linalg
import torch

from benchmarks.nets import NUM_CLASSES, Net, trained_net
from benchmarks.options import Measurements, Options
from benchmarks.peers import papers
from benchmarks.peers.instrument import risk_of
from hspec.curvature import class_means, hessian
from hspec.linalg import LinearOperator, Tridiagonal, deflate, eigsh, lanczos, slq

TOLERANCE = 1e-3  # of λ_C
BULK_STEPS = 90  # for the bulk: of the one run, or of the deflated operator's
MAX_STEPS = 200


def measure(options: Options) -> Measurements:
    """For trained nets a and b: products of one Lanczos run,
    of eigsh started from the class means, of the papers.
    """
    for key in options.chosen("a", "b"):
        net = trained_net(key, quick=options.quick, device=options.device)
        options.report(f"outliers, net {key}: {net.title}, trained on {net.inputs}")
        yield key, _one_net(net, quick=options.quick)


def _one_net(net: Net, quick: bool) -> dict:
    risk = risk_of(net)
    A = hessian(risk)
    run = lanczos(A, _random(net), 60 if quick else MAX_STEPS)
    published = papers.products_for_one_figure(NUM_CLASSES)
    bulk_steps = 10 if quick else BULK_STEPS
    warm, warm_bulk = _started_from_class_means(A, risk, bulk_steps)
    result = {
        "title": net.title,
        "num_parameters": net.num_parameters,
        "num_examples": net.num_examples,
        "inputs": net.inputs,
        "papers": published,
        "converged_after": steps_until_converged(run, NUM_CLASSES),
        "one_run": max(steps_until_converged(run, NUM_CLASSES) or MAX_STEPS, bulk_steps),
        "one_run_residual": _true_residual(A, run, NUM_CLASSES),
        "eigsh": warm.num_products,
        "eigsh_residual": float(warm.residuals.max() / abs(warm.values[-1])),
        "eigsh_and_bulk": warm.num_products + warm_bulk,
        "eigenvalues": warm.values.tolist(),
        "one_run_eigenvalues": np.sort(run.ritz()[0])[: -NUM_CLASSES - 1 : -1].tolist(),
    }
    if net.key == "a":
        values, residuals = papers.subspace_iteration(
            papers.hessian_product(net),
            _random(net, NUM_CLASSES),
            4 if quick else papers.SUBSPACE_ITERATIONS,
        )
        result["papers_residual"] = float(residuals.max() / values.abs().min())
    return result


def _random(net: Net, *columns: int) -> torch.Tensor:
    return torch.randn(net.num_parameters, *columns, generator=torch.Generator().manual_seed(2)).to(
        net.device
    )


def steps_until_converged(run: Tridiagonal, k: int) -> int | None:
    """The first m at which the top k Ritz pairs of the run's first m steps have residuals
    β_m |s_m| ≤ 1e-3 θ_k.
    """
    betas = np.append(run.betas, run.residual_norm)
    for m in range(k, len(run.alphas) + 1):
        theta, S = scipy.linalg.eigh_tridiagonal(run.alphas[:m], betas[: m - 1])
        if (betas[m - 1] * np.abs(S[-1, -k:]) <= TOLERANCE * abs(theta[-k])).all():
            return m
    return None


def _true_residual(A: LinearOperator, run: Tridiagonal, k: int) -> float:
    """max ‖A q − θ q‖/θ_k of the top k pairs at the step where the run says that they have
    converged.
    """
    m = steps_until_converged(run, k) or len(run.alphas)
    theta, S = scipy.linalg.eigh_tridiagonal(run.alphas[:m], run.betas[: m - 1])
    Q = run.V[:, :m] @ torch.from_numpy(S[:, -k:]).to(run.V)
    off = torch.stack([A @ q for q in Q.T], 1) - Q * torch.from_numpy(theta[-k:]).to(Q)
    return float(off.norm(dim=0).max() / abs(theta[-k]))


def _started_from_class_means(A: LinearOperator, risk, bulk_steps: int):
    """(eigenpairs from the class means {g_c}, products of the deflated bulk's quadrature)."""
    generator = torch.Generator().manual_seed(3)
    start = class_means(risk).class_vectors.T
    pairs = eigsh(A, NUM_CLASSES, start=start, tol=TOLERANCE, generator=generator)
    bulk = slq(deflate(A, pairs), bulk_steps, 1, generator=generator)
    return pairs, bulk.num_steps
