"""What the checks before the first number cost, beside the quadrature that follows."""

import statistics
import time

import torch

from benchmarks.nets import SPECS, Net, fresh_net
from benchmarks.options import Measurements, Options
from hspec.curvature import Risk, hessian


def measure(options: Options) -> Measurements:
    """For each net: seconds to make a risk and its plan with and without the check,
    and of one product.
    """
    for key in options.chosen(*SPECS):
        net = fresh_net(key, quick=options.quick, device=options.device)
        options.report(f"guards, net {key}: {net.title}, N = {net.num_examples}")
        yield key, _one_net(net, rounds=2 if options.quick else 3)


def _one_net(net: Net, rounds: int) -> dict:
    spec, seconds, products = SPECS[net.key], {"checked": [], "unchecked": []}, []
    for _ in range(rounds):
        for name, check in (("unchecked", False), ("checked", True)):
            start = time.perf_counter()
            risk = Risk.from_module(net.module, net.batches, check=check)
            risk.graphs.planned()
            seconds[name].append(time.perf_counter() - start)
        products.append(_product_seconds(risk))
    costs = {name: statistics.median(times) for name, times in seconds.items()}
    product = statistics.median(products)
    quadrature = product * spec.num_steps * spec.num_probes
    return {
        "title": net.title,
        "seconds": costs | {"product": product},
        "in_products": (costs["checked"] - costs["unchecked"]) / product,
        "share_of_quadrature": (costs["checked"] - costs["unchecked"]) / quadrature,
        "checks": risk.checks,
    }


def _product_seconds(risk: Risk) -> float:
    A, v = hessian(risk), torch.randn(risk.num_parameters).to(risk.device)
    A @ v
    start = time.perf_counter()
    A @ v
    return time.perf_counter() - start
