"""A user's own objects by name, and weights by file: what a command line can say."""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from hspec.errors import CommandError

INSIDE = ("state_dict", "model_state_dict", "model", "net")  # where checkpoints keep their weights
WRAPPERS = ("module.", "_orig_mod.")  # what DataParallel and torch.compile put before names


def named(name: str) -> object:
    """The object `package.module:name`, the module looked for in the current folder first.

    Raises:
        CommandError: the name is none, there is no such module, it fails, or it has no such object.

    Example:
        >>> named("math:pi")
        3.141592653589793
    """
    module_name, colon, path = name.partition(":")
    if not (module_name and colon and path):
        raise CommandError(
            f"{name!r} names no object: write package.module:name, such as mynet:make_model"
        )
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found = import_module(module_name)
    except (ModuleNotFoundError, TypeError) as error:  # TypeError for a name that begins with a dot
        if os.sep in module_name or module_name.endswith(".py"):
            raise CommandError(
                f"{module_name!r} is a file's name: write the module's, such as "
                f"{Path(module_name).stem}:{path}, in the folder that it lies in"
            ) from error
        if getattr(error, "name", None) and module_name.startswith(error.name):
            raise CommandError(
                f"there is no module {module_name!r}, neither in {here} nor installed"
            ) from error
        raise CommandError(f"{module_name} cannot be imported: {error}") from error
    except Exception as error:  # the user's own code, which may fail in any way
        raise CommandError(f"{module_name} cannot be imported: {_said(error)}") from error
    for part in path.split("."):
        if not hasattr(found, part):
            near = get_close_matches(part, dir(found), 1)
            hint = f": do you mean {near[0]!r}?" if near else ""
            raise CommandError(f"{module_name} has no {path!r}{hint}")
        found = getattr(found, part)
    return found


def made(name: str) -> object:
    """The object of that name; what it returns, where it is a function or a class.

    Raises:
        CommandError: as `named`, or the function fails.
    """
    found = named(name)
    if isinstance(found, type) or (callable(found) and not isinstance(found, nn.Module)):
        try:
            return found()
        except Exception as error:  # the user's own code
            raise CommandError(f"{name}() fails: {_said(error)}") from error
    return found


def network(name: str, weights: Path | None) -> nn.Module:
    """The module that `package.module:name` is or makes, with the weights of a file, in eval mode.

    Raises:
        CommandError: as `made`; it is no module; the file cannot be read or does not fit.
    """
    module = made(name)
    if not isinstance(module, nn.Module):
        raise CommandError(f"{name} gives {type(module).__name__}, a torch.nn.Module is needed")
    if weights is not None:
        _load(module, weights)
    return module.eval()


def sample(name: str) -> Iterable:
    """The batches that `package.module:name` are or gives; an iterator is read to its end.

    Raises:
        CommandError: as `made`.
    """
    batches = made(name)
    return list(batches) if hasattr(batches, "__next__") else batches


def _load(module: nn.Module, file: Path) -> None:
    state = state_of(file)
    own = module.state_dict()
    missing, strange = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    differing = sorted(k for k in own.keys() & state.keys() if own[k].shape != state[k].shape)
    told = {"missing": missing, "unknown": strange, "of another shape": differing}
    faults = [f"{len(names)} {kind} ({_few(names)})" for kind, names in told.items() if names]
    if faults:
        raise CommandError(f"the weights in {file} do not fit the module: {'; '.join(faults)}")
    module.load_state_dict(state)


def state_of(file: str | os.PathLike) -> dict[str, Tensor]:
    """{name: tensor} of a .safetensors file, or of what torch.save wrote of a state_dict.

    The prefixes "module." and "_orig_mod.", which DataParallel and torch.compile leave, are taken
    off; a checkpoint's state_dict is found inside it, under a usual name or as all the tensors that
    there are.

    Raises:
        CommandError: it is absent, damaged, or holds something else than tensors.
    """
    file = Path(file)
    if not file.is_file():
        raise CommandError(f"there is no file {file}")
    state = _safetensors(file) if file.suffix == ".safetensors" else _pickled(file)
    state = next((state[key] for key in INSIDE if isinstance(state.get(key), Mapping)), state)
    inside = [part for part in state.values() if _is_of_tensors(part)]
    if len(inside) == 1 and not any(isinstance(value, Tensor) for value in state.values()):
        (state,) = inside
    state = {key: value for key, value in state.items() if isinstance(value, Tensor)}
    if not state:
        raise CommandError(f"{file} holds no weights: save model.state_dict()")
    while wrapper := next((w for w in WRAPPERS if all(k.startswith(w) for k in state)), ""):
        state = {key.removeprefix(wrapper): t for key, t in state.items()}
    return state


def _is_of_tensors(part: object) -> bool:
    return (
        isinstance(part, Mapping)
        and bool(part)
        and all(isinstance(value, Tensor) for value in part.values())
    )


def _pickled(file: Path) -> Mapping:
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise CommandError(
            f"{file} cannot be read as weights: it is damaged, or holds more than tensors, which "
            "is not "
            "loaded, since it could run code: save model.state_dict()"
        ) from error
    if not isinstance(state, Mapping):
        raise CommandError(f"{file} holds a {type(state).__name__}: save model.state_dict()")
    return state


def _safetensors(file: Path) -> Mapping:
    if find_spec("safetensors") is None:
        raise CommandError(f"{file.name} needs safetensors: pip install safetensors")
    try:
        return import_module("safetensors.torch").load_file(file)
    except Exception as error:  # its own class of error, which is not known here
        raise CommandError(f"{file} cannot be read as weights: {_said(error)}") from error


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")


def _said(error: Exception) -> str:
    first = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
