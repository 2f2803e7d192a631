"""Second moments of the gradients themselves: the empirical Fisher, and the covariance that SGD's
noise has.

    g_n = J_nᵀ z_n,  z_n = ∂ℓ_n/∂f_n,        ∇L = (1/W) Σ_n g_n,

n over the rows of outputs that the loss sums over: examples, or tokens and pixels where there are
several labels an example. No g_n is formed: Σ_n g_n (g_n·v) = Jᵀ [z_n (z_n·(J v)_n)], one product
with J and one with Jᵀ, as much as G v takes.
"""

from torch import Tensor

from hspec.curvature.engine.batch_graph import BatchGraph
from hspec.curvature.hessian import Summed
from hspec.curvature.risk import Risk
from hspec.linalg.autocast import without_autocast
from hspec.linalg.low_rank import LowRank
from hspec.linalg.operator import LinearOperator


@without_autocast
def empirical_fisher(risk: Risk) -> LinearOperator:
    """F = (1/W) Σ_n g_n g_nᵀ (p, p), the second moment of the gradients at the labels that were
    seen.

    For the mean cross-entropy over N examples that is (1/N) Σ_n ∇ℓ_n ∇ℓ_nᵀ. It is not the Fisher
    information, which is the expectation of the same over the model's own labels: that is G
    (`gauss_newton`). W is the loss's own denominator, as in G: for nn.MSELoss all N·d entries, with
    g_n the gradient of the n-th row's sum of squares.

    Raises:
        ValueError: at the first product, where the loss is no function of the outputs alone.

    Example:
        >>> import torch
        >>> net = torch.nn.Linear(4, 3)
        >>> risk = Risk.from_module(net, [(torch.ones(5, 4), torch.tensor([0, 1, 2, 0, 1]))])
        >>> empirical_fisher(risk).shape
        (15, 15)

    Source: Kunstner, Balles and Hennig 2019, equation 3.
    """
    return Summed(risk, "F", BatchGraph.empirical_fisher)


@without_autocast
def gradient_covariance(risk: Risk) -> LinearOperator:
    """Cov = (1/m) Σ_n (γ_n − ∇L)(γ_n − ∇L)ᵀ (p, p), γ_n = (m/W) g_n: the gradients whose mean is
    ∇L.

    For the mean cross-entropy over m = N examples γ_n = ∇ℓ_n, and Cov/b is the covariance of the
    noise in a step of SGD with batches of b drawn with replacement. m is the number of rows of
    outputs, but
    for ignored labels: an unweighted cross-entropy averages over the others only.

    Raises:
        ValueError: where the loss is no function of the outputs alone.

    Example:
        >>> import torch
        >>> net = torch.nn.Linear(4, 3)
        >>> risk = Risk.from_module(net, [(torch.ones(5, 4), torch.tensor([0, 1, 2, 0, 1]))])
        >>> gradient_covariance(risk)
        Cov

    Source: Mandt, Hoffman and Blei 2017, section 2 (the gradient noise covariance).
    """
    scale = _num_gradients(risk) / risk.num_terms
    mean = risk.gradient()[:, None]
    exact = risk.precision == "exact"
    moved = LowRank(mean, Tensor([1.0]).to(mean), name="∇L∇Lᵀ", exact=exact)
    return (scale * empirical_fisher(risk) - moved).named("Cov")


def _num_gradients(risk: Risk) -> float:
    """m: where the mean counts rows one by one, as many as it counts;
    else all rows of the outputs.
    """
    loss = getattr(risk.loss_function, "of_logits", risk.loss_function)
    counts_rows = getattr(loss, "class_weights", 0) is None and loss.mean
    return risk.num_terms if counts_rows else float(risk.num_rows)
