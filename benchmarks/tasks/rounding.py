"""How far a product is from the product in float64, over a few images and over all of a net's; and
how many inputs of its rectifiers cross zero by rounding.

The Hessian of a net with ReLUs jumps where one of their inputs crosses zero. Over many images some
do, by the last bit of a forward pass, and the jump is larger than all rounding.
"""

from contextlib import nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from benchmarks.nets import SPECS, Net, fresh_net
from benchmarks.options import Measurements, Options
from benchmarks.peers import papers
from benchmarks.tasks.products import direction, products_of
from hspec.curvature.engine.layers import FastLayers
from hspec.curvature.engine.switches import Switches

RECTIFIERS = {F.relu, torch.relu, torch.relu_, torch.Tensor.relu, torch.Tensor.relu_}


def measure(options: Options) -> Measurements:
    """For each net: relative errors by contender, of few and of all; inputs that cross zero."""
    for key in options.chosen(*SPECS):
        few, net = (fresh_net(key, quick=quick, device=options.device) for quick in (True, False))
        if not options.quick:
            few = fresh_net(key, device=options.device, num_examples=few.num_examples)
        nets = {"few": few} | ({} if options.quick else {"all": net})
        sizes = " and ".join(str(each.num_examples) for each in nets.values())
        options.report(f"rounding, net {key}: {net.title}, N = {sizes}")
        yield key, {name: one_sample(each) for name, each in nets.items()}


def one_sample(net: Net) -> dict:
    """Errors of products over the net's examples, and the inputs of its rectifiers."""
    double = net.to(torch.float64)
    exact, plain = signs(double), signs(net)
    folded = signs(net, FastLayers(Switches()))
    return {
        "num_examples": net.num_examples,
        "rectified": sum(s.numel() for s in exact),
        "across_zero": {"PyTorch": _differing(plain, exact), "hspec": _differing(folded, exact)},
        "relative_error": _errors(net, double),
    }


def _errors(net: Net, double: Net) -> dict[str, float]:
    """‖A v − r‖ / ‖r‖, r being the product by plain PyTorch in float64."""
    v = direction(net)
    right = {
        "Hess": papers.hessian_product(double)(v.double()),
        "G": papers.gauss_newton_product(double)(v.double()),
    }

    def off(name: str, product) -> float:
        r = right[name.partition(": ")[0]]
        return float((product(v).detach() - r).norm() / r.norm())

    return {name: off(name, product) for name, product in products_of(net).items()}


class _Signs(TorchFunctionMode):
    """Whether each input of a rectifier is positive, in the order of the forward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func in RECTIFIERS:
            self.seen.append(args[0].detach() > 0)
        return func(*args, **(kwargs or {}))


def signs(net: Net, layers: TorchFunctionMode | None = None) -> list[Tensor]:
    """Of the inputs of its rectifiers, in PyTorch's forward pass or in one by other ``layers``."""
    with torch.enable_grad(), layers or nullcontext(), _Signs() as found:
        for x, _ in net.batches:
            net.module(x)
    return found.seen


def _differing(some: list[Tensor], others: list[Tensor]) -> int:
    return sum(int((a != b).sum()) for a, b in zip(some, others, strict=True))
