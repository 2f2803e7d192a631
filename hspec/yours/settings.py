"""What is asked of a spectrum: which matrices, how many pairs, steps and probes."""

from collections.abc import Callable
from dataclasses import dataclass

from hspec.curvature import Risk, gauss_newton, hessian, residual
from hspec.linalg import LinearOperator
from hspec.linalg.arguments import positive_number, whole_number

MATRICES: dict[str, Callable[[Risk], LinearOperator]] = {
    "Hess": hessian,
    "G": gauss_newton,
    "H": residual,
}


@dataclass(frozen=True)
class Settings:
    """How a spectrum is measured.

    Attributes:
        matrices: names among "Hess", "G", "H".
        top: k, the largest eigenvalues computed to a residual and taken out of the rest.
        steps: m, Lanczos steps a probe; probes: n_v, random start vectors (at least two: the band
            is their spread).
        tol: of the eigenpairs' residuals, relative to |λ_k|.
        seed: of every random choice.

    Raises:
        ValueError: an unknown matrix, or a number that is none.
    """

    matrices: tuple[str, ...] = ("Hess", "G", "H")
    top: int = 10
    steps: int = 80
    probes: int = 5
    tol: float = 1e-3
    seed: int = 0

    def __post_init__(self) -> None:
        names = (self.matrices,) if isinstance(self.matrices, str) else tuple(self.matrices)
        unknown = [name for name in names if name not in MATRICES]
        if unknown or not names:
            raise ValueError(
                f"matrices={self.matrices!r}: choose among {', '.join(MATRICES)}, at least one"
            )
        object.__setattr__(self, "matrices", names)
        for name, least in {"top": 0, "steps": 2, "probes": 2, "seed": 0}.items():
            object.__setattr__(self, name, whole_number(getattr(self, name), name, least))
        positive_number(self.tol, "tol")

    def pairs(self, dimension: int) -> int:
        """k, cut to half of the dimension."""
        return min(self.top, dimension // 2)

    def is_dense(self, dimension: int) -> bool:
        """Whether the whole matrix takes no more products than its estimate would."""
        return dimension <= self.steps * self.probes
