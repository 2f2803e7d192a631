"""A Gauss rule with one node that is prescribed, for a point that carries much of the spectrum."""

from dataclasses import dataclass

import numpy as np

from hspec.linalg.tridiagonal import Tridiagonal

INVARIANT = 1e-6  # β_m below this share of the widest node: the Gauss rule is the measure itself


@dataclass(frozen=True)
class Radau(Tridiagonal):
    """T̂ of a run's T_m: one row more, so that `node` is an eigenvalue. Made by `radau`.

    Attributes:
        node: the eigenvalue that is prescribed.
        gauss: the nodes of the run itself, ascending, and how far each is from an eigenvalue of A
            at most, (m,) each.
    """

    node: float
    gauss: tuple[np.ndarray, np.ndarray]

    def ritz(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """As `Tridiagonal.ritz`: nodes, roots of their weights, and distances from an eigenvalue.

        The latter, over β_m, are those of the Gauss rule's nodes, each handed to the node nearest
        to it; infinite where there is none. Eigenvalues interlace, so that there is a node beyond
        each of the Gauss rule's ends: it is moved onto the end. One that is far has no weight.
        """
        theta, first, _ = super().ritz()
        theta[np.abs(theta - self.node).argmin()] = self.node
        nodes, residuals = self.gauss
        apart = np.abs(theta - nodes[:, None])
        mine, off = apart.argmin(1), np.full(len(theta), np.inf)
        np.minimum.at(off, mine, residuals + apart.min(1))
        ends = min(nodes[0], self.node), max(nodes[-1], self.node)
        return theta.clip(*ends), first, off / self.residual_norm


def radau(run: Tridiagonal, node: float) -> Tridiagonal:
    """The Gauss-Radau rule of a Lanczos run: m nodes and `node`, without another product.

        T̂ = [T_m, β_m e_m; β_m e_mᵀ, node + β_m² e_mᵀ (T_m − node)⁻¹ e_m]

    has the eigenvalue `node`, and the squares of its eigenvectors' first entries are weights that
    integrate polynomials up to degree 2m exactly. Where many eigenvalues are equal, a Gauss rule
    has, by turns from one m to the next, a node close to them or two that straddle them; this one
    has a node there always.

    A run whose Gauss rule has a node close by already is returned as it is: the last entry of T̂
    would be larger than all of T_m, or infinite. So is one whose Krylov space is invariant.

    Source: Golub, SIAM Review 15 (1973), section 7; Golub and Meurant, Matrices, Moments and
    Quadrature (2009), section 6.2.
    """
    theta, _, last = run.ritz()
    residuals = run.residual_norm * np.abs(last)
    widest = max(np.abs(theta).max(), abs(node))
    with np.errstate(divide="ignore", invalid="ignore"):
        shift = float(np.sum(residuals**2 / (theta - node)))
    if run.residual_norm <= INVARIANT * widest or not abs(shift) <= widest:
        return run
    alphas, betas = np.append(run.alphas, node + shift), np.append(run.betas, run.residual_norm)
    return Radau(alphas, betas, None, None, run.residual_norm, node, (theta, residuals))
