"""pytorch-hessian-eigenthings (package hessian-eigenthings, version 1)."""

from hessian_eigenthings import GGNOperator, HessianOperator, spectral_density, supervised_loss
from hessian_eigenthings.loss_fns.standard import supervised_forward, supervised_loss_of_output
from torch import nn

from benchmarks.nets import Net
from benchmarks.peers.base import Peer, Product, plain_measure
from hspec.linalg import SpectralMeasure


def _hessian(net: Net) -> HessianOperator:
    return HessianOperator(net.private_copy(), net.batches, supervised_loss(nn.CrossEntropyLoss()))


def _gauss_newton(net: Net) -> Product:
    loss = supervised_loss_of_output(nn.CrossEntropyLoss())
    return GGNOperator(net.private_copy(), net.batches, supervised_forward, loss).matvec


def _quadrature(net: Net, num_steps: int, num_probes: int, seed: int) -> SpectralMeasure:
    result = spectral_density(
        _hessian(net),
        num_runs=num_probes,
        lanczos_steps=num_steps,
        num_grid_points=2,  # its smoothed curve is not what is compared
        seed=seed * num_probes,  # it draws probe i with seed + i
    )
    return plain_measure(result.raw_eigenvalues.cpu(), result.raw_weights.cpu(), net.num_parameters)


PEERS = [
    Peer(
        "eigenthings",
        hessian=lambda net: _hessian(net).matvec,
        gauss_newton=_gauss_newton,
        quadrature=_quadrature,
    )
]
