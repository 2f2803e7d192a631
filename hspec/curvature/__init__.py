"""Curvature of a network's risk: the Hessian, its parts, and the class and cross-class means they are made of."""

from hspec.curvature.class_means import ClassMeans, class_means, delta_means
from hspec.curvature.decomposition import A1, A2, B1, B2, G0, G1, G2, G3
from hspec.curvature.gram import exact_gauss_newton_spectrum, exact_knock_out_spectra
from hspec.curvature.hessian import gauss_newton, hessian, residual, split_product
from hspec.curvature.risk import Risk

__all__ = [
    "A1",
    "A2",
    "B1",
    "B2",
    "G0",
    "G1",
    "G2",
    "G3",
    "ClassMeans",
    "Risk",
    "class_means",
    "delta_means",
    "exact_gauss_newton_spectrum",
    "exact_knock_out_spectra",
    "gauss_newton",
    "hessian",
    "residual",
    "split_product",
]
