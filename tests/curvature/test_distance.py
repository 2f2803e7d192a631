"""How far it is from `A @ v` to PyTorch: what a reader, and a debugger, walks through."""

import sys
from pathlib import Path

import torch
from torch import nn

import hspec
from hspec.curvature import Risk, hessian

OURS = str(Path(hspec.__file__).parent)


def walked(run):
    """[(file, function)] of ours that run() enters, resumed generators among them; how deep."""
    entered, depths = [], [0]

    def watch(frame, event, _):
        if frame.f_code.co_filename.startswith(OURS) and event in ("call", "return"):
            depths.append(depths[-1] + (1 if event == "call" else -1))
            if event == "call":
                entered.append((frame.f_code.co_filename, frame.f_code.co_qualname))

    sys.setprofile(watch)
    try:
        run()
    finally:
        sys.setprofile(None)
    return entered, max(depths)


def test_a_product_walks_through_35_functions_in_11_files_13_deep():
    """Of a perceptron of two layers, 784-20-10; 69 functions in the first version of the engine."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 20), nn.ReLU(), nn.Linear(20, 10))
    A = hessian(Risk.from_module(net, [(torch.randn(64, 1, 28, 28), torch.arange(64) % 10)]))
    v = torch.randn(A.shape[0])
    A @ v  # the graph is built
    entered, depth = walked(lambda: A @ v)
    assert len(entered) <= 35 and depth <= 13
    assert len({file for file, _ in entered}) <= 11
