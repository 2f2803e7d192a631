"""Inside torch.autocast, where a training loop calls, every number is what it is outside."""

import numpy as np
import pytest
import torch
from torch import nn

import hspec


def generator():
    return torch.Generator().manual_seed(0)


NET = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)).eval()
X = torch.randn(64, 6, generator=generator())
BATCHES = [(x, (x[:, 0] * x[:, 1] > 0).long() + (x[:, 2] > 1).long()) for x in X.split(32)]


def vector(size):
    return torch.randn(size, 2, generator=generator())


def tracked():
    """At two steps: the second starts from what the first has found."""
    tracker = hspec.Tracker(BATCHES, every=1, top=3)
    return [[n[k] for k in n if k != "seconds"] for n in (tracker(0, NET), tracker(1, NET))]


def of_pairs(pairs):
    return pairs.values, pairs.vectors


WAYS = {
    "the gradient": lambda risk: risk.gradient(),
    "products": lambda risk: hspec.hessian(risk) @ vector(risk.num_parameters),
    "three products": lambda risk: hspec.split_product(risk, vector(risk.num_parameters)),
    "a dense matrix": lambda risk: hspec.gauss_newton(risk).to_dense(),
    "eigsh": lambda risk: of_pairs(hspec.eigsh(hspec.hessian(risk), 3, generator=generator())),
    "slq": lambda risk: hspec.slq(hspec.hessian(risk), 9, 2, generator=generator()).nodes,
    "lanczos": lambda risk: (
        hspec.lanczos(hspec.hessian(risk), vector(risk.num_parameters)[:, 0], 9).alphas
    ),
    "deflation": lambda risk: (
        hspec.deflate(hspec.hessian(risk), vector(risk.num_parameters))
        @ vector(risk.num_parameters)
    ),
    "trace": lambda risk: hspec.trace(hspec.hessian(risk), 9, generator=generator()),
    "its plain estimate": lambda risk: hspec.hutchinson_trace(
        hspec.hessian(risk), 9, generator=generator()
    ),
    "diagonal": lambda risk: hspec.diagonal(hspec.hessian(risk), 9, generator=generator()),
    "Ritz values": lambda risk: hspec.ritz_values(hspec.hessian(risk), vector(risk.num_parameters)),
    "class means": lambda risk: hspec.class_means(risk).vectors("class"),
    "A1": lambda risk: of_pairs(hspec.A1(hspec.class_means(risk)).eigenpairs()),
    "B1": lambda risk: hspec.B1(hspec.class_means(risk)).eigenvalues(),
    "B2": lambda risk: hspec.B2(risk, hspec.class_means(risk)) @ vector(risk.num_parameters),
    "exact spectrum": lambda risk: hspec.exact_gauss_newton_spectrum(risk),
    "Fisher": lambda risk: hspec.empirical_fisher(risk) @ vector(risk.num_parameters),
    "covariance": lambda risk: hspec.gradient_covariance(risk) @ vector(risk.num_parameters),
    "KFAC": lambda risk: hspec.kfac(hspec.layer_data(risk)["2"]).eigenvalues(),
    "CFAC": lambda risk: hspec.cfac(hspec.layer_data(risk)["2"]) @ vector(24),
    "a layer's G": lambda risk: hspec.layer_gauss_newton(hspec.layer_data(risk)["2"]) @ vector(24),
    "blocks": lambda risk: hspec.blocks(risk).hessian("0", "2") @ vector(27),
    "spectrum": lambda _: of_pairs(hspec.spectrum(NET, BATCHES, top=3, progress=False)["Hess"]),
    "tracker": lambda _: tracked(),
}


@pytest.mark.filterwarnings("ignore")  # of eigenvalues that ten products do not settle
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_number_is_the_same_inside_autocast(way):
    right = way(hspec.Risk.from_module(NET, BATCHES))
    with torch.autocast("cpu", torch.bfloat16):
        found = way(hspec.Risk.from_module(NET, BATCHES))
    for one, other in zip(arrays(right), arrays(found), strict=True):
        np.testing.assert_array_equal(one, other)


def arrays(found):
    if isinstance(found, (tuple, list)):
        for part in found:
            yield from arrays(part)
    else:
        yield np.asarray(found)
        yield np.asarray(found).dtype == np.float32
