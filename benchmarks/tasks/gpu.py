"""On CUDA: VGG11 and ResNet18 at full width, on as large a sample as has room for its graphs."""

import time

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.nets import NUM_CLASSES, Net
from benchmarks.options import Measurements, Options
from benchmarks.peers.instrument import risk_of
from benchmarks.timing import interleaved
from hspec import models
from hspec.curvature import gauss_newton, hessian
from hspec.linalg import lanczos

BATCH = 256
SHARE = 0.8  # of free memory, for kept graphs
LARGEST = 1024  # examples; beyond them the GPU has long been busy, and only the wait grows
ROUNDS, STEPS = 3, 16
BLOCK = 8
MATMUL_SIZE = 8192


def measure(options: Options) -> Measurements:
    """Nothing on the CPU. Else, by net: seconds a product, fraction of peak, gain of blocks."""
    if options.device.type == "cuda":
        for name in ("vgg11", "resnet18"):
            yield name, _one_net(name, options)


def _one_net(name: str, options: Options) -> dict:
    trial = _net(name, BATCH, options.device)
    risk = risk_of(trial)
    risk.gradient()
    fitting = int(SHARE * torch.cuda.mem_get_info(options.device)[0] / risk.graphs.kept_bytes)
    del risk
    net = _net(
        name,
        BATCH * max(1, min(fitting, (2 if options.quick else LARGEST // BATCH))),
        options.device,
    )
    options.report(f"gpu: {name}, p = {net.num_parameters}, N = {net.num_examples}")
    budget = int(0.95 * torch.cuda.mem_get_info(options.device)[0])
    risk = risk_of(net, memory_budget=budget)
    return {"num_parameters": net.num_parameters, "num_examples": net.num_examples} | _figures(
        net, risk, options
    )


def _figures(net: Net, risk, options: Options) -> dict:
    A, G = hessian(risk), gauss_newton(risk)
    X = torch.randn(net.num_parameters, BLOCK, device=net.device)
    square = torch.randn(MATMUL_SIZE, MATMUL_SIZE, device=net.device)
    calls = {
        "gradient": net.gradient,
        "Hess": lambda: A @ X[:, 0],
        "G": lambda: G @ X[:, 0],
        "block": lambda: A @ X,
        "matrix product": lambda: square @ square,
    }
    times = interleaved(calls, 1 if options.quick else ROUNDS, net.device)
    with FlopCounterMode(display=False) as counter:
        calls["Hess"]()
    peak = 2 * MATMUL_SIZE**3 / times.fastest("matrix product")
    steps = 4 if options.quick else STEPS
    return {
        "seconds": {call: times.median(call) for call in calls},
        "per_gradient": {call: times.ratio(call, "gradient") for call in ("Hess", "G")},
        "fraction_of_peak": counter.get_total_flops() / times.fastest("Hess") / peak,
        "gain_of_blocks": BLOCK * times.median("Hess") / times.median("block"),
        "lanczos_seconds_per_step": _seconds(lambda: lanczos(A, X[:, 0].clone(), steps), net.device)
        / steps,
        "repr": repr(A),
    }


def _seconds(call, device) -> float:
    torch.cuda.synchronize(device)
    started = time.perf_counter()
    call()
    torch.cuda.synchronize(device)
    return time.perf_counter() - started


def _net(name: str, num_examples: int, device: torch.device) -> Net:
    generator = torch.Generator().manual_seed(0)
    module = models.build(
        name, in_channels=3, num_classes=NUM_CLASSES, image_size=32, generator=generator
    )
    images = torch.randn(num_examples, 3, 32, 32, generator=generator).to(device)
    labels = (torch.arange(num_examples) % NUM_CLASSES).to(device)
    batches = list(zip(images.split(BATCH), labels.split(BATCH), strict=True))
    return Net(name, name, module.eval().to(device), batches, "random")
