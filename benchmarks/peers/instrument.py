"""hspec itself."""

import torch

from benchmarks.nets import NUM_CLASSES, Net
from benchmarks.peers.base import Peer
from hspec.curvature import Risk, gauss_newton, hessian
from hspec.linalg import SpectralMeasure, slq


def risk_of(net: Net, **options) -> Risk:
    return Risk.from_module(net.module, net.batches, NUM_CLASSES, **options)


def quadrature(net: Net, num_steps: int, num_probes: int, seed: int, **options) -> SpectralMeasure:
    generator = torch.Generator().manual_seed(seed)
    return slq(hessian(risk_of(net)), num_steps, num_probes, generator=generator, **options)


PEERS = [
    Peer(
        "hspec",
        hessian=lambda net: hessian(risk_of(net)).__matmul__,
        gauss_newton=lambda net: gauss_newton(risk_of(net)).__matmul__,
        quadrature=quadrature,
    )
]
