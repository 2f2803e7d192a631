"""What derivatives are compared along, and what of them is compared."""

import pytest
import torch

from hspec.curvature.engine.differences import LARGE, direction, sketch
from hspec.curvature.engine.network import flat


@pytest.fixture
def normal():
    generator = torch.Generator().manual_seed(0)
    return lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)


@pytest.fixture
def parameters(normal):
    return [normal(500, 200), normal(7), normal(2, LARGE), normal(3, 4).to(torch.complex128)]


@pytest.fixture
def vectors(normal, parameters):
    return [[normal(*q.shape).to(q.dtype) for q in parameters] for _ in range(2)]


def test_a_sketch_is_linear_and_as_large_as_the_vector(vectors, parameters):
    a, b = vectors
    together = sketch([2 * s - t for s, t in zip(a, b, strict=True)], parameters)
    torch.testing.assert_close(together, 2 * sketch(a, parameters) - sketch(b, parameters))
    assert len(together) == 500 * 4 + 7 + 2 * LARGE + 24
    assert float(sketch(a, parameters).norm() / flat(a).norm()) == pytest.approx(1, abs=0.05)


def test_a_sketch_of_small_tensors_is_all_of_them(vectors, parameters):
    small = [q for q in parameters if q.numel() < LARGE]
    pieces = [None, *(t for t in vectors[0] if 7 < t.numel() < LARGE)]
    assert torch.equal(sketch(pieces, small), flat(pieces, small))


def test_an_entry_that_differs_shows_in_a_sketch(vectors, parameters):
    off = [torch.zeros_like(q) for q in parameters]
    off[0][123, 45] = 1.0
    assert 0.1 < float(sketch(off, parameters).norm()) < 3


def test_a_direction_is_as_large_as_its_tensor_and_repeats_no_row(parameters):
    v = direction(parameters, torch.Generator().manual_seed(0))
    for d, q in zip(v, parameters, strict=True):
        assert d.shape == q.shape and d.dtype == q.dtype
    assert float(v[0].norm() / parameters[0].norm()) == pytest.approx(1, abs=0.02)
    assert len(v[0].unique(dim=0)) == len(v[0])
