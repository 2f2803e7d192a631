"""Products without a look at a value, which on a GPU would stop the stream.

The meta device stands in for the GPU where there is none: the code takes the branches of any device
but the CPU, nothing is computed, and reading a value raises.
"""

import copy

import pytest
import torch

from hspec.curvature.data import Data
from hspec.curvature.engine.batch_graph import BatchGraph, Objective
from hspec.curvature.engine.network import Network
from hspec.curvature.loss.cross_entropy import CrossEntropy, CrossEntropyTerms
from hspec.curvature.softmax import Softmax

PRODUCTS = {
    "Hess": BatchGraph.hess,
    "H": BatchGraph.residual,
    "G": BatchGraph.gauss_newton,
    "split": BatchGraph.split,
}


class Unchecked(CrossEntropy):
    """Without a look at the labels, which is taken while a graph is built."""

    def _hard(self, f, labels, where):
        return CrossEntropyTerms(f, Softmax.of(f), float(len(labels)), labels)


@pytest.fixture
def graph(case):
    network = copy.copy(Network(case.net, None, None))
    network.module = network.module.to("meta")
    network.parameters, network.device = list(network.module.parameters()), torch.device("meta")
    data = Data(case.batches, None, network.dtype, network.device)
    return BatchGraph.build(Objective(network, data, Unchecked()), next(iter(data)))


@pytest.mark.parametrize("num_vectors", [1, 3])
@pytest.mark.parametrize("product", PRODUCTS.values(), ids=PRODUCTS.keys())
def test_products_read_no_value_and_stay_on_their_device(graph, product, num_vectors):
    p = graph.network.num_parameters
    V = torch.empty(num_vectors, p, dtype=graph.network.dtype, device="meta")
    result = product(graph, V)
    assert result.device == V.device
    assert (result.shape[0], result.shape[-1]) == (num_vectors, p)


def test_reading_a_value_there_would_raise(graph):
    with pytest.raises((RuntimeError, NotImplementedError)):
        float(graph.z.detach().sum())
