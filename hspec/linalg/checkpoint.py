"""The state of a run on disk: one small file every few steps, each written whole or not at all."""

import os
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path

import torch


class Checkpoint:
    """A folder of pieces `steps-00010.pt`, `steps-00020.pt`, …; each holds what was found since the one before.

    A piece is written under a temporary name and renamed, so a kill leaves the pieces before it; it carries a
    checksum, so a damaged one is recognised, with those after it dropped and a warning. `fingerprint` names
    the run (operator, start vectors, settings): a folder that belongs to another run is refused.
    """

    def __init__(self, folder: str | os.PathLike, fingerprint: dict[str, str]):
        self.folder = Path(folder)
        self.fingerprint = fingerprint

    def save(self, step: int, tensors: dict[str, torch.Tensor]) -> None:
        """Write the piece that ends at `step`."""
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        content = {"fingerprint": self.fingerprint, "tensors": tensors, "checksum": _checksum(tensors)}
        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = self.folder / f".{os.getpid()}.partial"
        try:
            with temporary.open("wb") as file:
                torch.save(content, file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._path(step))
        finally:
            temporary.unlink(missing_ok=True)

    def load(self) -> Iterator[tuple[int, dict[str, torch.Tensor]]]:
        """The sound pieces in order, as (last step, tensors), one in memory at a time."""
        for path in sorted(self.folder.glob("steps-*.pt")):
            tensors = self._read(path)
            if tensors is None:
                return
            yield int(path.stem.split("-")[1]), tensors

    def keep_only(self, step: int) -> None:
        """Remove all pieces but the one that ends at `step`."""
        for path in self.folder.glob("steps-*.pt"):
            if path != self._path(step):
                path.unlink()

    def _path(self, step: int) -> Path:
        return self.folder / f"steps-{step:05d}.pt"

    def _read(self, path: Path) -> dict[str, torch.Tensor] | None:
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
            fingerprint, tensors = content["fingerprint"], content["tensors"]
            sound = _checksum(tensors) == content["checksum"]
        except Exception as error:  # a damaged file fails in many ways; each means the same
            sound, fault = False, f" ({type(error).__name__})"
        else:
            fault = " (its checksum is wrong)"
        if not sound:
            warnings.warn(
                f"{path} is damaged{fault}: the run continues from the steps before it.", stacklevel=2
            )
            return None
        self._same_run(fingerprint, path)
        return tensors

    def _same_run(self, other: dict[str, str], path: Path) -> None:
        names = sorted(self.fingerprint.keys() | other.keys())
        differing = [name for name in names if self.fingerprint.get(name) != other.get(name)]
        if differing:
            facts = "; ".join(f"{n} was {other.get(n)}, is {self.fingerprint.get(n)}" for n in differing)
            raise ValueError(
                f"{path} belongs to another run ({facts}). Delete {self.folder} or name another checkpoint folder."
            )


def checksum(tensor: torch.Tensor) -> str:
    """CRC-32 of a tensor's bytes, in hexadecimal."""
    flat = tensor.detach().cpu().contiguous().flatten()
    return f"{zlib.crc32(flat.view(torch.uint8).numpy()):08x}" if flat.numel() else "empty"


def _checksum(tensors: dict[str, torch.Tensor]) -> str:
    return " ".join(f"{name}:{checksum(tensors[name])}" for name in sorted(tensors))
