"""One product with the Hessian, and one with G, in units of one gradient over the same data."""

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.nets import SPECS, Net, fresh_net
from benchmarks.options import Measurements, Options
from benchmarks.peers import all_peers
from benchmarks.peers.base import Product
from benchmarks.peers.instrument import risk_of
from benchmarks.timing import Times, interleaved
from hspec.curvature import hessian, split_product
from hspec.curvature.engine.precision import numerics

MATMUL_SIZE = 2048  # of the square product whose speed stands for the machine's peak


def measure(options: Options) -> Measurements:
    """For each net: seconds, ratios to the gradient, flops, share of the matrix-product peak."""
    for key in options.chosen(*SPECS):
        net = fresh_net(key, quick=options.quick, device=options.device)
        options.report(f"products, net {key}: {net.title}, N = {net.num_examples}")
        yield key, _one_net(net, rounds=2 if options.quick else SPECS[key].rounds)


def _one_net(net: Net, rounds: int) -> dict:
    contenders = _contenders(net)
    times = interleaved(contenders, rounds, net.device)
    flops = {name: _flops(contenders[name]) for name in ("gradient", "Hess: hspec", "G: hspec")}
    peak = 2 * MATMUL_SIZE**3 / times.fastest("matrix product")
    return {
        "title": net.title,
        "num_parameters": net.num_parameters,
        "num_examples": net.num_examples,
        "inputs": net.inputs,
        "seconds": times.seconds,
        "per_gradient": {name: _ratios(times, name) for name in contenders if ": " in name},
        "flops": flops,
        "share_of_peak": {name: flops[name] / times.fastest(name) / peak for name in flops},
        "peak_flops_per_second": peak,
    }


def _ratios(times: Times, name: str) -> dict:
    return {
        "median": times.ratio(name, "gradient"),
        "quartiles": times.ratio_spread(name, "gradient"),
        "of_fastest": times.ratio_of_fastest(name, "gradient"),
    }


def direction(net: Net) -> Tensor:
    """The vector that is multiplied."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn(net.num_parameters, generator=generator).to(net.device)


def products_of(net: Net) -> dict[str, Product]:
    """{"Hess: peer" or "G: peer": v ↦ A v}."""
    products = {}
    for peer in all_peers()[0]:
        products[f"Hess: {peer.name}"] = peer.hessian(net)
        if peer.gauss_newton:
            products[f"G: {peer.name}"] = peer.gauss_newton(net)
    return products


def _contenders(net: Net) -> dict:
    """{"Hess: peer" or "G: peer": a call of one product}, the gradient,
    and a large matrix product.
    """
    v = direction(net)
    square = torch.randn(MATMUL_SIZE, MATMUL_SIZE, device=net.device)
    calls = {"gradient": net.gradient, "matrix product": lambda: _matrix_product(square)}
    calls |= {name: _call(product, v) for name, product in products_of(net).items()}
    risk = risk_of(net)
    calls["Hess, G, H at once: hspec"] = lambda: split_product(risk, v)
    calls["Hess: hspec, graphs rebuilt"] = _call(
        hessian(risk_of(net, memory_budget=0)).__matmul__, v
    )
    return calls


def _matrix_product(square):
    """By the fastest library that keeps float32, the one that hspec's products go to."""
    with numerics(square.device, "exact"):
        return square @ square


def _call(product, v):
    return lambda: product(v)


def _flops(call) -> int:
    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()
