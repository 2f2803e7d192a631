"""Weights from a file: checked by their sha256, and known by the names that others gave them."""

import hashlib
import pickle
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

try:
    from safetensors.torch import load_file
except ImportError:  # one file of one net needs it
    load_file = None

# What others call the parts of the same nets, at the beginning of a name.
_RENAMED = {"module.": "", "linear.": "fc."}


class WeightsError(ValueError):
    """A file of weights is absent, is not the one asked for, or does not fit the net."""


def load_weights(
    net: nn.Module, path: str | Path, sha256: str, *, outputs: Sequence[int] = ()
) -> None:
    """Put the weights of a file into `net`, in place, or raise and leave it as it was.

    Args:
        net: Its state dict has the names of the file's tensors; these may begin with "module." (of
            a parallel net) and "linear." (for "fc.").
        path: A file of `torch.save` (a state dict, alone or under "state_dict"), an .npz or a
            .safetensors.
        sha256: Of the file, in hexadecimal digits.
        outputs: Which of the file's logits the net has, where it has fewer: the rows of the last
            layer that are taken.

    Raises:
        WeightsError: The file is absent, has another checksum or does not fit.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> net, trained = nn.Linear(2, 1), nn.Linear(2, 1)
        >>> with TemporaryDirectory() as folder:
        ...     file = Path(folder, "trained.pt")
        ...     torch.save(trained.state_dict(), file)
        ...     load_weights(net, file, hashlib.sha256(file.read_bytes()).hexdigest())
        >>> torch.equal(net.weight, trained.weight)
        True
    """
    own, path = net.state_dict(), Path(path)
    given = {_renamed(name): value for name, value in read_weights(path, sha256).items()}
    for name in given.keys() & own.keys():
        shape, wanted = given[name].shape, own[name].shape
        if shape[1:] == wanted[1:] and shape[:1] > wanted[:1] == (len(outputs),):
            given[name] = given[name][list(outputs)]
    counters = {name: value for name, value in own.items() if name.endswith("num_batches_tracked")}
    _check_fit(path, given, own, counters)
    net.load_state_dict(counters | given)


def read_weights(path: str | Path, sha256: str) -> Mapping[str, Tensor]:
    """The tensors of a file by name: of `torch.save`, .npz or .safetensors; nothing in it is
    executed.

    sha256: of the file, in hexadecimal digits.

    Raises `WeightsError` for a file that is absent or has another checksum, and where safetensors
    is not installed.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(
            f"no file of weights {path.name} in {path.parent}: data/README.md says where it is from"
        )
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != sha256:
        raise WeightsError(
            f"{path} has the sha256 {found}, not {sha256}: it is another file, or damaged"
        )
    return _read(path)


def _renamed(name: str) -> str:
    for theirs, ours in _RENAMED.items():
        if name.startswith(theirs):
            name = ours + name.removeprefix(theirs)
    return name


def _read(path: Path) -> Mapping[str, Tensor]:
    if path.suffix == ".safetensors" and load_file is None:
        raise WeightsError(f"{path.name} needs safetensors: pip install safetensors")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                return {name: torch.from_numpy(arrays[name]) for name in arrays.files}
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (
        zipfile.BadZipFile,
        pickle.UnpicklingError,
        RuntimeError,
        ValueError,
        EOFError,
    ) as error:
        raise WeightsError(f"{path} cannot be read as weights: {error}") from error
    return content.get("state_dict", content)


def _check_fit(path: Path, given: dict, own: dict, counters: dict) -> None:
    facts = {
        "it lacks": own.keys() - given.keys() - counters.keys(),
        "the net has no": given.keys() - own.keys(),
        "another shape has": {
            n for n in given.keys() & own.keys() if given[n].shape != own[n].shape
        },
    }
    wrong = "; ".join(
        f"{fact} {', '.join(sorted(names)[:3])}" for fact, names in facts.items() if names
    )
    if wrong:
        raise WeightsError(f"{path.name} does not fit this net: {wrong}")
