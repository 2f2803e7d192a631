"""How much memory there is, how much a graph holds, and what running out of it looks like."""

from pathlib import Path

import torch
from torch import Tensor


def free_memory(device: torch.device) -> int:
    """Bytes that can still be allocated on `device` (on the CPU: by the system's and the control group's account)."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    meminfo = (
        dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines()) if _LINUX else {}
    )
    available = int(meminfo["MemAvailable"].split()[0]) * 1024 if "MemAvailable" in meminfo else 4 << 30
    limit, used = (_read_number(f"/sys/fs/cgroup/memory.{name}") for name in ("max", "current"))
    return available if limit is None or used is None else min(available, limit - used)


_LINUX = Path("/proc/meminfo").exists()


def _read_number(path: str) -> int | None:
    text = Path(path).read_text().strip() if Path(path).exists() else ""
    return int(text) if text.isdigit() else None


def gib(num_bytes: float) -> str:
    return f"{num_bytes / 2**30:.3g} GiB"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` is an allocator's refusal, on CUDA or on the CPU (which has no class of its own)."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    )


class SavedBytes(torch.autograd.graph.saved_tensors_hooks):
    """Context manager: counts the bytes that autograd saves for backward, each storage once.

    `besides`: tensors whose storage is held anyway (parameters), not counted.
    """

    def __init__(self, besides: list[Tensor]):
        self._known = {t.untyped_storage().data_ptr() for t in besides}
        self.total = 0
        super().__init__(self._pack, lambda tensor: tensor)

    def _pack(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in self._known:
            self._known.add(storage.data_ptr())
            self.total += storage.nbytes()
        return tensor.detach()  # without its graph: a saved output would otherwise keep itself alive
