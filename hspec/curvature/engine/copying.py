"""A private copy of the user's module: what wraps it is looked through,
what was computed is detached.
"""

import copy
import types

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from hspec.curvature.contents import copied
from hspec.curvature.engine.gathered import REMEDY

SHARDED = ("FullyShardedDataParallel", "FSDPModule", "XlaFullyShardedDataParallel")


def private_copy(module: nn.Module) -> tuple[nn.Module, dict[str, Tensor]]:
    """(a deep copy without wrappers, the tensors in it that had been computed from parameters, by
    name).

    Raises TypeError for what is no module, is scripted, or cannot be copied; ValueError for a
    sharded one.
    """
    _refuse_what_is_no_module(module)
    module = unwrapped(module)
    refuse_foreign_parts(module)
    try:
        memo: dict = {}
        with Detaching() as detaching:
            private = copy.deepcopy(module, memo)
    except Exception as error:
        raise TypeError(
            f"{type(module).__name__} cannot be copied ({error}), and a Risk works on a copy so as "
            "never to change the module. Remove the attribute or hook that cannot be copied"
        ) from error
    for part in private.modules():
        part._compiled_call_impl = None  # net.compile(): compiled code has no second derivative
        for name, value in vars(part).items():
            if (method := _compiled_method(value)) is not None:
                vars(part)[name] = copy.deepcopy(method, memo)  # a copied method is the copy's
        for name, child in part.named_children():
            setattr(part, name, unwrapped(child))
    return private, _named(private, detaching.found)


def _compiled_method(value: object) -> types.MethodType | None:
    """The bound method in net.forward = torch.compile(net.forward); None for all else."""
    if not hasattr(value, "_torchdynamo_orig_callable"):
        return None
    while value is not None and not isinstance(value, types.MethodType):
        value = getattr(value, "__wrapped__", None)
    return value


def _refuse_what_is_no_module(module) -> None:
    if not isinstance(module, nn.Module):
        raise TypeError(
            f"an nn.Module is needed, got {type(module).__name__}: parameters live in modules. "
            "Wrap a function in one whose forward calls it"
        )


def unwrapped(module: nn.Module) -> nn.Module:
    """What is inside torch.compile, DataParallel and DistributedDataParallel."""
    while True:
        if type(module).__name__ == "OptimizedModule":  # its class takes seconds to import
            module = module._orig_mod
        elif isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
            module = module.module
        else:
            return module


def refuse_foreign_parts(module: nn.Module) -> None:
    for name, part in module.named_modules():
        called = f"{name!r} " if name else ""
        if isinstance(part, torch.jit.ScriptModule):
            raise TypeError(
                f"the module {called}is scripted or traced (torch.jit), which has no derivatives "
                "of its "
                "own to rebuild: pass the nn.Module that it was made from"
            )
        if any(base.__name__ in SHARDED for base in type(part).__mro__):
            raise ValueError(
                f"the module {called}is sharded by {type(part).__name__}, under which products "
                "would not be summed over the processes: pass the plain module, or, where its "
                f"weights do not fit on one device, {REMEDY} on it"
            )


class Detaching(TorchFunctionMode):
    """While active, copy.deepcopy copies the values of computed tensors,
    which it would refuse."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Tensor] = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is not torch.Tensor.__deepcopy__:
            return func(*args, **(kwargs or {}))
        tensor, memo = args
        if tensor.layout is not torch.strided and not isinstance(tensor, nn.Parameter):
            memo[id(tensor)] = values = copied(tensor)  # sparse rows have no deep copy
            return values
        if tensor.is_leaf:
            return func(*args, **(kwargs or {}))
        memo[id(tensor)] = values = tensor.detach().clone()
        self.found.append(values)
        return values


def _named(module: nn.Module, tensors: list[Tensor]) -> dict[str, Tensor]:
    """The tensors by "layer.attribute"; those inside of containers by the container's number."""
    names = {
        id(value): f"{path}.{attribute}".lstrip(".")
        for path, part in module.named_modules()
        for attribute, value in vars(part).items()
        if isinstance(value, Tensor)
    }
    return {names.get(id(t), f"computed tensor {i}"): t for i, t in enumerate(tensors)}


def refuse_computed_tensors_in_use(outputs: Tensor, computed: dict[str, Tensor]) -> None:
    """Raise ValueError where `outputs` depend on one of `computed` (which require gradients
    meanwhile).

    Hooks that make them anew (old weight_norm, pruning) put others in their place; what is still in
    use would be a constant, though it was computed from parameters.
    """
    tensors = list(computed.values())
    found = torch.autograd.grad(outputs.sum(), tensors, allow_unused=True)
    in_use = [name for name, g in zip(computed, found, strict=True) if g is not None]
    if in_use:
        raise ValueError(
            f"the module uses {', '.join(map(repr, in_use))}, computed from parameters before the "
            "forward pass: its share in the derivatives would be lost. Compute it in forward"
        )
