"""How much memory there is, how much a graph holds, and what running out of it looks like."""

import os

import torch
from torch import Tensor

UNKNOWN = 4 << 30  # bytes assumed free where the system does not tell
ANY_BUDGET = 1 << 28  # bytes that tables may take however little the budget for graphs is


def free_memory(device: torch.device) -> int:
    """Bytes that can still be allocated on `device` (on the CPU: by the system and the
    control groups).
    """
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    free = [_available(), *(limit - used for limit, used in _group_limits())]
    return max(0, min(free))


def _available() -> int:
    for line in _read("/proc/meminfo").splitlines():
        name, _, value = line.partition(":")
        words = value.split()
        if name == "MemAvailable" and words and words[0].isdigit():
            return int(words[0]) * 1024
    return UNKNOWN


def _group_limits() -> list[tuple[int, int]]:
    """(limit, used) bytes of this process's control group and of those around it,
    versions 1 and 2.
    """
    found = []
    for line in _read("/proc/self/cgroup").splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers == "":
            root, names = "/sys/fs/cgroup", ("memory.max", "memory.current")
        elif "memory" in controllers.split(","):
            root = "/sys/fs/cgroup/memory"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes")
        else:
            continue
        parts = path.strip("/").split("/")
        for depth in range(len(parts), -1, -1):
            folder = "/".join([root, *parts[:depth]])
            limit, used = (_read(f"{folder}/{name}").strip() for name in names)
            if limit.isdigit() and used.isdigit():
                found.append((int(limit), int(used)))
    return found


def _read(path: str) -> str:
    """The text of a system's file; empty where it is absent, unreadable or no text.

    By the system's own calls: it is asked before every first product, and a file takes a tenth of
    what pathlib takes for it.
    """
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        return ""
    try:
        return b"".join(iter(lambda: os.read(file, 1 << 16), b"")).decode(errors="replace")
    except OSError:
        return ""
    finally:
        os.close(file)


def resident(device: torch.device) -> int:
    """Bytes that this process holds on `device`."""
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    words = _read("/proc/self/statm").split()
    return int(words[1]) * os.sysconf("SC_PAGE_SIZE") if len(words) > 1 else 0


def gib(num_bytes: float) -> str:
    """The number with its unit, to three digits."""
    return f"{num_bytes / 2**30:.3g} GiB"


def ask(num_bytes: float, budget: int, what: str, remedy: str) -> None:
    """Raise MemoryError, before it is allocated,
    for what needs more bytes than the budget for tables.
    """
    budget = max(budget, ANY_BUDGET)
    if num_bytes > budget:
        raise MemoryError(f"{what} need {gib(num_bytes)}, the budget is {gib(budget)}: {remedy}")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` is an allocator's refusal,
    on CUDA or on the CPU (which has no class of its own).
    """
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    )


class SavedBytes(torch.autograd.graph.saved_tensors_hooks):
    """Context manager: counts the bytes that autograd saves for backward, each storage once.

    `besides`: tensors whose storage is held anyway (parameters), not counted.
    """

    def __init__(self, besides: list[Tensor]) -> None:
        self._known = {t.untyped_storage().data_ptr() for t in besides}
        self.total = 0
        super().__init__(self._pack, lambda tensor: tensor)

    def _pack(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in self._known:
            self._known.add(storage.data_ptr())
            self.total += storage.nbytes()
        return tensor.detach()  # without its graph: a saved output would keep itself alive
