"""Symmetric operators, Lanczos, and spectral measures: matrices known by their products.
Knows nothing of networks.
"""

from hspec.linalg.deflation import deflate, subspace_cosines
from hspec.linalg.diagonals import diagonal, trace
from hspec.linalg.distances import kolmogorov_smirnov, wasserstein
from hspec.linalg.eigsh import eigsh
from hspec.linalg.kronecker import Kronecker
from hspec.linalg.lanczos import lanczos
from hspec.linalg.low_rank import LowRank
from hspec.linalg.measure import SpectralMeasure
from hspec.linalg.operator import LinearOperator, aslinearoperator, identity
from hspec.linalg.pairs import EigenPairs
from hspec.linalg.quadrature import slq
from hspec.linalg.remembered import remembered
from hspec.linalg.ritz import ritz_values
from hspec.linalg.scaled import scaled
from hspec.linalg.smoothing import KERNEL_WIDTHS, noise_floor
from hspec.linalg.trace import hutchinson_trace
from hspec.linalg.tridiagonal import Tridiagonal, eigenpairs_from

__all__ = [
    "KERNEL_WIDTHS",
    "EigenPairs",
    "Kronecker",
    "LinearOperator",
    "LowRank",
    "SpectralMeasure",
    "Tridiagonal",
    "aslinearoperator",
    "deflate",
    "diagonal",
    "eigenpairs_from",
    "eigsh",
    "hutchinson_trace",
    "identity",
    "kolmogorov_smirnov",
    "lanczos",
    "noise_floor",
    "remembered",
    "ritz_values",
    "scaled",
    "slq",
    "subspace_cosines",
    "trace",
    "wasserstein",
]
