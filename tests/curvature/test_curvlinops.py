"""Hess and G against another library."""

import pytest
import torch
from torch import nn

from hspec.curvature import Risk, gauss_newton, hessian

curvlinops = pytest.importorskip("curvlinops")


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(hessian, "HessianLinearOperator"), (gauss_newton, "GGNLinearOperator")],
    ids=["Hess", "G"],
)
def test_products_agree(case, rel, ours, theirs):
    risk = Risk.from_module(case.net, case.batches, case.C)
    X = torch.randn(risk.num_parameters, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    parameters = list(case.net.parameters())
    loss = nn.CrossEntropyLoss(reduction="mean")
    other = getattr(curvlinops, theirs)(case.net, loss, parameters, case.batches, check_deterministic=False)
    assert rel(ours(risk) @ X, other @ X) < 1e-12
