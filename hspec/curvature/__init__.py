"""Curvature of a network's risk: the Hessian, its parts,
and the class and cross-class means they are made of.
"""

from hspec.curvature.blocks import blocks
from hspec.curvature.classes.gram import exact_gauss_newton_spectrum, exact_knock_out_spectra
from hspec.curvature.classes.means import ClassMeans, class_means, delta_means
from hspec.curvature.classes.parts import A1, A2, B1, B2, G0, G1, G2, G3, G12
from hspec.curvature.fisher import empirical_fisher, gradient_covariance
from hspec.curvature.hessian import gauss_newton, hessian, residual, split_product
from hspec.curvature.kronecker_factors import cfac, kfac, layer_gauss_newton
from hspec.curvature.layers import LayerData, layer_data
from hspec.curvature.risk import Risk
from hspec.curvature.shares import shard

__all__ = [
    "A1",
    "A2",
    "B1",
    "B2",
    "G0",
    "G1",
    "G2",
    "G3",
    "G12",
    "ClassMeans",
    "LayerData",
    "Risk",
    "blocks",
    "cfac",
    "class_means",
    "delta_means",
    "empirical_fisher",
    "exact_gauss_newton_spectrum",
    "exact_knock_out_spectra",
    "gauss_newton",
    "gradient_covariance",
    "hessian",
    "kfac",
    "layer_data",
    "layer_gauss_newton",
    "residual",
    "shard",
    "split_product",
]
