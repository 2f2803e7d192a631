"""curvlinops. Its range estimate is left out of the quadrature, and its check of determinism,
both in its favour.
"""

import torch
from curvlinops import GGNLinearOperator, HessianLinearOperator
from curvlinops.papyan2020traces.spectrum import fast_lanczos
from torch import nn

from benchmarks.nets import Net
from benchmarks.peers.base import Peer, plain_measure
from hspec.linalg import SpectralMeasure


def _operator(kind, net: Net):
    module = net.private_copy()
    loss, parameters = nn.CrossEntropyLoss(), [p for p in module.parameters() if p.requires_grad]
    return kind(
        module, loss, parameters, net.batches, check_deterministic=False, num_data=net.num_examples
    )


def _quadrature(net: Net, num_steps: int, num_probes: int, seed: int) -> SpectralMeasure:
    torch.manual_seed(seed)
    operator = _operator(HessianLinearOperator, net)
    runs = [fast_lanczos(operator, num_steps) for _ in range(num_probes)]
    nodes = torch.stack([values for values, _ in runs])
    weights = torch.stack([vectors[0] ** 2 for _, vectors in runs])
    return plain_measure(nodes.cpu(), weights.cpu(), net.num_parameters)


PEERS = [
    Peer(
        "curvlinops",
        hessian=lambda net: _operator(HessianLinearOperator, net).__matmul__,
        gauss_newton=lambda net: _operator(GGNLinearOperator, net).__matmul__,
        quadrature=_quadrature,
        reorthogonalizes=False,
    )
]
