"""Numerics inside products: float32 means float32 unless the caller asked for less."""

import contextlib
import functools
import platform
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch
from torch.backends import cuda, cudnn, mha
from torch.nn.utils import parametrize

PRECISIONS = ("exact", "fast")
# Names of torch.set_float32_matmul_precision: no reduced precision; TF32 on CUDA; on the CPU
# whatever oneDNN does when it is allowed bfloat16 multiplications.
FULL, TF32, ONEDNN = "highest", "high", "medium"
ROUNDING = 1e-5  # of ‖a‖‖b‖ in one entry of a float32 matrix product; bfloat16 is off by 5e-4


@contextlib.contextmanager
def normal_tensors() -> Iterator[None]:
    """Tensors made here can be part of a graph, even inside torch.inference_mode;
    the grad mode stays.
    """
    grad = torch.is_grad_enabled()  # leaving inference mode would switch it on
    with torch.inference_mode(False), torch.set_grad_enabled(grad):
        yield


class numerics:
    """Context: the matrix products that `precision` allows, no autocast, no inference mode.

    "exact" is float32 to rounding, by the faster of PyTorch's two libraries that keeps it; "fast"
    is TF32 on CUDA, bfloat16 multiplications on CPUs that have them. The math kernel is the only
    one of scaled-dot-product attention that has a second derivative everywhere; cuDNN's recurrent
    layers have none at all, so that for `recurrent` nets PyTorch's own take their place. One object
    may be entered again and again, and while it is entered, by one thread at a time.
    """

    def __init__(self, device: torch.device, precision: str, *, recurrent: bool = False) -> None:
        self.device_type = device.type
        self.settings = {
            "matmul": _matmul_precision(device, precision),
            "cudnn tf32": precision == "fast",
            "flash attention": False,
            "memory-efficient attention": False,
            "cudnn attention": False,
            "math attention": True,
            "encoder fast path": False,
            "parametrization cache": 0,
        }
        if recurrent and device.type == "cuda":
            self.settings["cudnn"] = False
        self.entered = []

    def __enter__(self) -> None:
        grad = torch.is_grad_enabled()  # leaving inference mode would switch it on
        _PROCESS.enter(self.settings)
        off = []
        if torch.is_inference_mode_enabled() or torch.is_autocast_enabled(self.device_type):
            off = [torch.inference_mode(False), torch.autocast(self.device_type, enabled=False)]
        for context in off:
            context.__enter__()
        torch.set_grad_enabled(grad)
        self.entered.append((grad, off))

    def __exit__(self, *exception: object) -> None:
        grad, off = self.entered.pop()
        for context in reversed(off):
            context.__exit__(*exception)
        torch.set_grad_enabled(grad)
        _PROCESS.leave()


class _ProcessWide:
    """Settings that PyTorch keeps for the whole process, shared by the threads that want the same
    ones.

    The first to come saves what the user has set, the last to go restores it; who wants others
    waits. Within one thread the outermost call decides, so that nobody waits for itself.
    """

    def __init__(self) -> None:
        self.changed, self.inside = threading.Condition(), threading.local()
        self.settings, self.holders, self.before = None, 0, None

    def enter(self, settings: dict[str, object]) -> None:
        """Hold these settings, once the threads that hold others have left."""
        depth = getattr(self.inside, "depth", 0)
        self.inside.depth = depth + 1
        if depth:
            return
        with self.changed:
            while self.holders and self.settings != settings:
                self.changed.wait()
            if not self.holders:
                self.settings, self.before = settings, {}
                for name, value in settings.items():
                    get, change = _SETTINGS[name]
                    self.before[name] = get()
                    change(value)
            self.holders += 1

    def leave(self) -> None:
        """Hold them no longer."""
        self.inside.depth -= 1
        if self.inside.depth:
            return
        with self.changed:
            self.holders -= 1
            if not self.holders:
                for name, value in self.before.items():
                    _SETTINGS[name][1](value)
            self.changed.notify_all()


# How PyTorch is asked for each setting, and told.
_SETTINGS = {
    "matmul": (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    "cudnn": (partial(getattr, cudnn, "enabled"), partial(setattr, cudnn, "enabled")),
    "cudnn tf32": (partial(getattr, cudnn, "allow_tf32"), partial(setattr, cudnn, "allow_tf32")),
    # By hand: torch.nn.attention.sdpa_kernel must be left in the thread in which it was entered.
    "flash attention": (cuda.flash_sdp_enabled, cuda.enable_flash_sdp),
    "memory-efficient attention": (cuda.mem_efficient_sdp_enabled, cuda.enable_mem_efficient_sdp),
    "cudnn attention": (cuda.cudnn_sdp_enabled, cuda.enable_cudnn_sdp),
    "math attention": (cuda.math_sdp_enabled, cuda.enable_math_sdp),
    # nn.TransformerEncoder under no_grad: it gives zeros at padded places, where the graph does not
    "encoder fast path": (mha.get_fastpath_enabled, mha.set_fastpath_enabled),
    # torch.nn.utils.parametrize.cached(): weights computed under no_grad would stay constants
    "parametrization cache": (
        partial(getattr, parametrize, "_cache_enabled"),
        partial(setattr, parametrize, "_cache_enabled"),
    ),
}


_PROCESS = _ProcessWide()


def _matmul_precision(device: torch.device, precision: str) -> str:
    if device.type != "cpu":
        return TF32 if precision == "fast" else FULL
    return ONEDNN if precision == "fast" or onednn_is_better() else FULL


@functools.cache
def onednn_is_better() -> bool:
    """Whether float32 matrix products on this CPU are faster by oneDNN, and as exact; the latter is
    tried out, once.

    PyTorch's default, MKL, is twice as slow on AMD's CPUs, and the faster one on Intel's
    (docs/decisions/0006). Where oneDNN is allowed bfloat16 it multiplies float32 matrices in it on
    CPUs with matrix units; on others the permission only moves the products to oneDNN's own float32
    kernels.
    """
    return _is_amd() and _onednn_keeps_float32()


def _is_amd() -> bool:
    try:
        return "AuthenticAMD" in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return "AuthenticAMD" in platform.processor()


def _onednn_keeps_float32() -> bool:
    before, generator = torch.get_float32_matmul_precision(), torch.Generator().manual_seed(0)
    torch.set_float32_matmul_precision(ONEDNN)
    try:
        return all(
            _error(*shape, generator) < ROUNDING
            for shape in [(64, 512, 48), (1000, 256, 10), (20, 1000, 256)]
        )
    finally:
        torch.set_float32_matmul_precision(before)


def _error(n: int, k: int, m: int, generator: torch.Generator) -> float:
    """Largest error of an entry of A Bᵀ, A (n, k) and B (m, k), relative to ‖a‖‖b‖."""
    A, B = torch.randn(n, k, generator=generator), torch.randn(m, k, generator=generator)
    exact = A.double() @ B.double().T
    return float(((A @ B.T - exact).abs() / (A.norm(dim=1)[:, None] * B.norm(dim=1))).max())
