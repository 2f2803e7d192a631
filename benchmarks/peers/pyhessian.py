"""PyHessian, given a data loader (graphs rebuilt at every product) or one batch (graph kept)."""

from unittest import mock

import torch
from pyhessian import hessian
from pyhessian.utils import hessian_vector_product
from torch import Tensor, nn

from benchmarks.nets import Net, flat, unflatten
from benchmarks.peers.base import Peer, Product, plain_measure
from hspec.linalg import SpectralMeasure


def _loader(net: Net) -> hessian:
    cuda = net.device.type == "cuda"
    return hessian(net.private_copy(), nn.CrossEntropyLoss(), dataloader=net.batches, cuda=cuda)


def _one_batch(net: Net) -> hessian:
    x, y = (torch.cat(part) for part in zip(*net.batches, strict=True))
    return hessian(
        net.private_copy(), nn.CrossEntropyLoss(), data=(x, y), cuda=net.device.type == "cuda"
    )


def _loader_product(net: Net) -> Product:
    peer = _loader(net)
    return lambda v: flat(peer.dataloader_hv_product(unflatten(v, peer.params))[1])


def _one_batch_product(net: Net) -> Product:
    peer = _one_batch(net)
    return lambda v: flat(
        hessian_vector_product(peer.gradsH, peer.params, unflatten(v, peer.params))
    )


def _quadrature(make):
    def quadrature(net: Net, num_steps: int, num_probes: int, seed: int) -> SpectralMeasure:
        torch.manual_seed(seed)
        with mock.patch.object(torch, "eig", _eig):
            nodes, weights = make(net).density(num_steps, num_probes)
        return plain_measure(nodes, weights, net.num_parameters)

    return quadrature


def _eig(matrix: Tensor, eigenvectors: bool) -> tuple[Tensor, Tensor]:
    """torch.eig, which PyHessian 0.1 calls and PyTorch no longer has, for real eigenvalues."""
    values, vectors = torch.linalg.eig(matrix)
    return torch.view_as_real(values), vectors.real


PEERS = [
    Peer("PyHessian, loader", hessian=_loader_product, quadrature=_quadrature(_loader)),
    Peer("PyHessian, one batch", hessian=_one_batch_product, quadrature=_quadrature(_one_batch)),
]
