"""Files that are whole or absent: written atomically, checked when read,
refused where they do not belong.
"""

import pickle
import tempfile
import zipfile
from pathlib import Path

import torch

from hspec.files import remove_leftovers, write_whole


class CheckpointError(RuntimeError):
    """A training folder or a file in it cannot be used; the message names it and says why."""


def checkpoint_path(folder: Path, step: int) -> Path:
    return folder / f"step-{step:08d}.pt"


def prepare_folder(folder: Path) -> None:
    """Make the folder and try to write in it, before any work is done that could not be
    saved."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"0")
        remove_leftovers(folder)
    except OSError as error:
        raise CheckpointError(
            f"cannot write to the training folder {folder} ({error}): choose another"
        ) from error


def write(path: Path, content: dict) -> None:
    """Save `content` at `path`: a kill leaves the old file or the new one."""
    try:
        write_whole(path, lambda file: torch.save(content, file))
    except OSError as error:
        raise CheckpointError(f"{error}: earlier checkpoints are kept") from error


def read(path: Path, identity: dict) -> dict:
    """Load a file of the run `identity` on the CPU.

    Raises `CheckpointError` where it is damaged, belongs to another run, or holds numbers that are
    not finite.
    """
    content = _read_whole(path)
    there = content["identity"]
    differing = [key for key in {**identity, **there} if there.get(key) != identity.get(key)]
    if differing:
        details = "; ".join(
            f"{k}: {there.get(k)} there, {identity.get(k)} asked for" for k in differing
        )
        raise CheckpointError(
            f"{path} belongs to another run ({details}): use another folder, or delete this one"
        )
    bad = [name for name, value in content["model"].items() if not torch.isfinite(value).all()]
    if bad:
        raise CheckpointError(
            f"{path} holds NaN or infinite numbers in {bad[0]}: delete it and train again"
        )
    return content


def _is_checkpoint(content) -> bool:
    """Whether it has the parts of a checkpoint, each of its type; a state has more of them."""
    if not isinstance(content, dict) or not {"identity", "model", "step"} <= content.keys():
        return False
    step, parts = content["step"], ("identity", "model", "optimiser", "history", "random")
    whole = all(isinstance(content.get(name, {}), dict) for name in parts)
    tensors = whole and all(isinstance(t, torch.Tensor) for t in content["model"].values())
    return tensors and isinstance(step, int) and step >= 0


def _read_whole(path: Path) -> dict:
    """Check the archive's checksums, then unpickle plain tensors and numbers only."""
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
        if broken is None:
            content = torch.load(path, map_location="cpu", weights_only=True)
            if _is_checkpoint(content):
                return content
    except FileNotFoundError:
        raise
    except (
        zipfile.BadZipFile,
        OSError,
        EOFError,
        RuntimeError,
        pickle.UnpicklingError,
        ValueError,
        KeyError,
    ) as error:
        raise CheckpointError(f"{path} is damaged ({error}): delete it and train again") from error
    raise CheckpointError(
        f"{path} is damaged or not a checkpoint of hspec: delete it and train again"
    )
