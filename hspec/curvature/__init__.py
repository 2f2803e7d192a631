"""Curvature of a network's risk: the Hessian, its parts, and the class and cross-class means they are made of."""

from hspec.curvature.operators import gauss_newton, hessian, residual, split_product
from hspec.curvature.risk import Risk

__all__ = ["Risk", "gauss_newton", "hessian", "residual", "split_product"]
