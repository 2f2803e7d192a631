"""Tensors on disk that a killed computation may need: each file whole, recognised if damaged,
and of one run.
"""

import warnings
import zlib
from pathlib import Path

import torch

from hspec.files import write_whole


def write_piece(path: Path, fingerprint: dict[str, str], tensors: dict[str, torch.Tensor]) -> None:
    """Write `tensors` whole or not at all, with a checksum and what they belong to (see
    `write_whole`).
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    content = {"fingerprint": fingerprint, "tensors": tensors, "checksum": _checksums(tensors)}
    write_whole(path, lambda file: torch.save(content, file))


def read_piece(path: Path, fingerprint: dict[str, str]) -> dict[str, torch.Tensor] | None:
    """The tensors of a file that `write_piece` made; None where there is none, or, with a warning,
    a damaged one.

    Raises:
        ValueError: it belongs to something else, with what differs and the remedy.
    """
    if not path.exists():
        return None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        other, tensors = content["fingerprint"], content["tensors"]
        sound, fault = _checksums(tensors) == content["checksum"], "its checksum is wrong"
    except Exception as error:  # a damaged file fails in many ways; each means the same
        sound, fault = False, type(error).__name__
    if not sound:
        warnings.warn(f"{path} is damaged ({fault}): what it held is computed again.", stacklevel=2)
        return None
    _require_same(fingerprint, other, path)
    return tensors


def checksum(tensor: torch.Tensor) -> str:
    """CRC-32 of a tensor's bytes, in hexadecimal."""
    flat = tensor.detach().cpu().contiguous().flatten()
    return f"{zlib.crc32(flat.view(torch.uint8).numpy()):08x}" if flat.numel() else "empty"


def _checksums(tensors: dict[str, torch.Tensor]) -> str:
    return " ".join(f"{name}:{checksum(tensors[name])}" for name in sorted(tensors))


def _require_same(fingerprint: dict[str, str], other: dict[str, str], path: Path) -> None:
    names = sorted(fingerprint.keys() | other.keys())
    differing = [name for name in names if fingerprint.get(name) != other.get(name)]
    if differing:
        facts = "; ".join(f"{n} was {other.get(n)}, is {fingerprint.get(n)}" for n in differing)
        raise ValueError(
            f"{path} belongs to another run ({facts}). Delete {path.parent} or name another "
            "checkpoint folder."
        )
