"""Multinomial logistic regression on Gaussian classes: Fisher spectrum and error (P20-3)."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from hspec.curvature import Risk, gauss_newton
from hspec.curvature.logistic_regression import (
    expected_fisher,
    fisher_spectrum,
    gaussian_classes,
    group_means,
    misclassification,
)
from hspec.experiments.measure import measure
from hspec.experiments.task import Task

BATCH = 4096  # examples of a risk's batch, and of a class among the draws of a mean
GRADIENT = 1e-7  # to which a fit's gradient must vanish, per weight
MAX_ITERATIONS = 10_000
IN_DOUBT = 100  # draws that are misclassified, of those that the true posterior's matrix is of


@measure(version=1)
def logistic_fisher(
    task: Task,
    *,
    num_classes: int = 10,
    dimension: int = 30,
    signals: tuple[float, ...] = (1.0, 2.0, 3.0, 4.0, 5.0),
    per_class: int = 100,
    test_per_class: int = 2000,
    posterior_examples: int = 200_000,
    weight_decay: float = 1e-2,
    repeats: int = 5,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """The Fisher spectrum of x = t e_c + z and the error, for every t of ``signals``, in float64.

    num_classes C, dimension D of x, per_class: examples of a fit; test_per_class: those that its
    errors are counted on; posterior_examples: draws that the true posterior's matrix is averaged
    over; weight_decay: η of the fits; repeats: fits, each on a sample of its own.

    Arrays, with T signals and R repeats: signals; error (T,), the best possible; alpha (T,), the
    mean probability that the true posterior gives to wrong classes; theorem, dense and posterior
    (T, C·D), eigenvalues, descending: by theorem 8.1 with this α, of lemma 8.1's dense matrix, and
    of the true posterior; fits (T, R, C·D); fit_error and fit_alpha (T, R); groups_theorem and
    groups_posterior (T, 3), groups_fits (T, R, 3): means of the outliers, the mini-bulk and the
    bulk at the theorem's multiplicities; multiplicities (3,).
    Raises ValueError for fewer than three classes, as many dimensions or fewer, one signal, or too
    few draws for a signal.
    Source: P20, section 8; cases two and three are ours.
    """
    C, D = num_classes, dimension
    refuse_what_has_no_ratio(C, D, signals, posterior_examples)
    if not weight_decay > 0:
        raise ValueError(
            f"weight_decay must be positive: no fit ends without it; got {weight_decay}"
        )
    rows: dict[str, list] = {}
    with task.counting("signals", len(signals)) as advance:
        for place, t in enumerate(signals):
            generator = task.generator(seed + 1000 * place)
            posterior, alpha = posterior_fisher(C, D, t, posterior_examples, generator)
            theorem = fisher_spectrum(C, D, t, alpha).eigenvalues()
            dense = descending(expected_fisher(C, D, t, alpha))
            found = fits_at(t, C, D, (per_class, test_per_class), weight_decay, repeats, generator)
            of = {"theorem": theorem, "posterior": descending(posterior), "fits": found["fits"]}
            groups = {
                f"groups_{name}": np.apply_along_axis(group_means, -1, values, C, D)
                for name, values in of.items()
            }
            one = (
                {"error": misclassification(C, t), "alpha": alpha, "dense": dense}
                | of
                | groups
                | found
            )
            for name, value in one.items():
                rows.setdefault(name, []).append(value)
            advance()
    return {name: np.stack(values) for name, values in rows.items()} | {
        "signals": np.array(signals),
        "multiplicities": np.array(fisher_spectrum(C, D, 1.0, 0.5).multiplicities),
        "num_classes": C,
        "num_examples": C * per_class,
        "num_parameters": C * D,
    }


def refuse_what_has_no_ratio(
    C: int, D: int, signals: tuple[float, ...], posterior_examples: int
) -> None:
    """Raise ValueError where there is no bulk, no order of problems, or no doubt in the draws."""
    if not 3 <= C < D:
        raise ValueError(
            f"num_classes={C}, dimension={D}: take three classes or more, and more dimensions than "
            "classes, or there is no bulk to compare outliers with"
        )
    if len(set(signals)) < 2:
        raise ValueError(f"signals={list(signals)}: an order needs two different ones or more")
    for t in signals:
        if (wrong := posterior_examples * misclassification(C, t)) < IN_DOUBT:
            raise ValueError(
                f"of posterior_examples={posterior_examples} draws at t = {t:g} the best "
                f"classifier errs on {wrong:.2g} or so, and the examples in doubt make the matrix: "
                f"take {IN_DOUBT / misclassification(C, t):.1g} draws or a smaller signal"
            )


def posterior_fisher(
    C: int, D: int, t: float, num_examples: int, generator: torch.Generator
) -> tuple[Tensor, float]:
    """E G (C·D, C·D) of the true posterior softmax(t x_1, …, t x_C), and E[1 − p_y].

    Features are the major index. p knows the first C of them only; the others are averaged out
    exactly, E[x_i x_j | p] = 1 for i = j > C and 0 elsewhere. What is left is a mean over draws of
    z in R^C.
    """
    block, U_mean, alpha = torch.zeros(C * C, C * C, dtype=torch.float64), 0.0, 0.0
    for _ in range(parts := -(-num_examples // (C * BATCH))):
        x, y = gaussian_classes(C, C, t, BATCH, generator=generator)
        p = (t * x).softmax(1)
        U = torch.diag_embed(p) - p[:, :, None] * p[:, None]
        by_pairs = (
            (x[:, :, None] * x[:, None]).flatten(1).T @ U.flatten(1) / len(x)
        )  # (i, j) by (a, b)
        block += by_pairs.view(C, C, C, C).permute(0, 2, 1, 3).reshape(C * C, C * C) / parts
        U_mean, alpha = (
            U_mean + U.mean(0) / parts,
            alpha + float(1 - p[torch.arange(len(x)), y].mean()) / parts,
        )
    return torch.block_diag(block, *[U_mean] * (D - C)), alpha


def fits_at(
    t: float,
    C: int,
    D: int,
    per_class: tuple[int, int],
    weight_decay: float,
    repeats: int,
    generator: torch.Generator,
) -> dict[str, np.ndarray]:
    """fits (R, C·D), fit_error (R,) on the test sample, fit_alpha (R,) on the training sample.

    per_class: examples of either.
    """
    of_training, of_test = per_class
    test = gaussian_classes(C, D, t, of_test, generator=generator)
    fits, errors, alphas = [], [], []
    for _ in range(repeats):
        sample = gaussian_classes(C, D, t, of_training, generator=generator)
        W = fitted(*sample, C, weight_decay)
        risk = linear_risk(W, sample)
        fits.append(descending(gauss_newton(risk).to_dense()))
        errors.append(linear_risk(W, test).error_rate())
        alphas.append(wrong_probability(risk))
    return {"fits": np.stack(fits), "fit_error": np.array(errors), "fit_alpha": np.array(alphas)}


def fitted(x: Tensor, y: Tensor, num_classes: int, weight_decay: float) -> Tensor:
    """The minimiser W (C, D) of mean cross-entropy + (η/2) ‖W‖², by L-BFGS.

    Raises:
        RuntimeError: where the gradient has not vanished.
    """
    model = LogisticRegression(
        C=1 / (weight_decay * len(x)),
        fit_intercept=False,
        tol=GRADIENT / 10,
        max_iter=MAX_ITERATIONS,
    )
    W = torch.from_numpy(model.fit(x.numpy(), y.numpy()).coef_.copy())
    off = (x @ W.T).softmax(1) - torch.eye(num_classes, dtype=torch.float64)[y]
    gradient = off.T @ x / len(x) + weight_decay * W
    if gradient.abs().max() > GRADIENT:
        raise RuntimeError(
            f"the fit has not converged: its gradient is {float(gradient.abs().max()):.1e}"
        )
    return W


def linear_risk(W: Tensor, sample: tuple[Tensor, Tensor]) -> Risk:
    """The risk of the logits W x on a sample."""
    layer = nn.Linear(W.shape[1], W.shape[0], bias=False, dtype=W.dtype)
    layer.weight.data = W
    x, y = sample
    return Risk.from_module(layer, list(zip(x.split(BATCH), y.split(BATCH), strict=True)), len(W))


def descending(matrix: Tensor) -> np.ndarray:
    """All eigenvalues of a symmetric matrix, the largest first."""
    return torch.linalg.eigvalsh((matrix + matrix.T) / 2).flip(0).numpy()


def wrong_probability(risk: Risk) -> float:
    """α: the mean probability that is given to wrong classes."""
    p = risk.logits().double().softmax(1)
    return float(1 - p.gather(1, risk.labels[:, None]).mean())
