"""Hess and G against another library."""

import pytest
import torch
from torch import nn

from hspec.curvature import Risk, empirical_fisher, gauss_newton, hessian
from hspec.linalg import eigsh, slq

curvlinops = pytest.importorskip("curvlinops")


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(hessian, "HessianLinearOperator"), (gauss_newton, "GGNLinearOperator")],
    ids=["Hess", "G"],
)
def test_products_agree(case, rel, ours, theirs):
    risk = Risk.from_module(case.net, case.batches, case.C)
    X = torch.randn(
        risk.num_parameters, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    parameters = list(case.net.parameters())
    loss = nn.CrossEntropyLoss(reduction="mean")
    other = getattr(curvlinops, theirs)(
        case.net, loss, parameters, case.batches, check_deterministic=False
    )
    assert rel(ours(risk) @ X, other @ X) < 1e-12


def test_their_operator_has_our_eigenvalues(case):
    """Their Hessian in our eigsh and slq."""
    risk = Risk.from_module(case.net, case.batches, case.C)
    parameters, loss = list(case.net.parameters()), nn.CrossEntropyLoss(reduction="mean")
    theirs = curvlinops.HessianLinearOperator(
        case.net, loss, parameters, case.batches, check_deterministic=False
    )
    ours = hessian(risk)
    pairs = [
        eigsh(A, 3, generator=torch.Generator().manual_seed(0), tol=1e-9) for A in (ours, theirs)
    ]
    assert pairs[0].values == pytest.approx(pairs[1].values, rel=1e-12)
    measures = [slq(A, 20, 2, generator=torch.Generator().manual_seed(0)) for A in (ours, theirs)]
    assert measures[0].nodes == pytest.approx(measures[1].nodes, rel=1e-9, abs=1e-9)


def test_empirical_fishers_agree(case, rel):
    risk = Risk.from_module(case.net, case.batches, case.C)
    X = torch.randn(
        risk.num_parameters, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    theirs = curvlinops.EFLinearOperator(
        case.net,
        nn.CrossEntropyLoss(),
        list(case.net.parameters()),
        case.batches,
        check_deterministic=False,
    )
    assert rel(empirical_fisher(risk) @ X, theirs @ X) < 1e-12
