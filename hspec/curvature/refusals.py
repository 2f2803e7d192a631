"""What a Risk refuses before it looks at a number, each with the fact and the remedy."""

import operator
from collections.abc import Mapping

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from hspec.curvature.contents import COMPLEX, REAL, is_finite, tensors
from hspec.curvature.engine.gathered import is_sharded
from hspec.curvature.engine.network import Network
from hspec.distributed import Alone


def refuse_dropout(module: nn.Module) -> None:
    """Raise ValueError if a layer of `module` would draw random masks."""
    for name, layer in module.named_modules():
        rate = layer.p if isinstance(layer, _DropoutNd) else getattr(layer, "dropout", 0.0)
        if isinstance(layer, nn.RNNBase) and layer.num_layers == 1:
            continue  # its dropout stands between layers, of which there is one
        if layer.training and isinstance(rate, int | float) and rate > 0:
            raise ValueError(
                f"layer {name or type(layer).__name__!r} is in training mode with dropout {rate}. "
                "Call model.eval() first: dropout makes another matrix at every product"
            )


def refuse_ranks(ranks: Alone, what: str) -> None:
    """Raise ValueError for what is computed in one process only."""
    if ranks.size > 1 or ranks.in_step:
        raise ValueError(
            f"{what}: in one process only, and this risk is shared by {ranks.size}: make one "
            "without group=, "
            "on a sample that one process can go through"
        )


def refuse_sharded(ranks: Alone, what: str) -> None:
    """Raise ValueError for what is not computed where weights are cut up between ranks."""
    if ranks.in_step:
        raise ValueError(
            f"{what}: not where weights are cut up between ranks, since each rank goes over the "
            "classes of its own share. Use a module that is whole on every rank, or hessian, "
            "gauss_newton, residual, empirical_fisher, gradient_covariance and blocks"
        )


def other_ranks(network: Network, ranks: Alone) -> None:
    """Raise ValueError where weights are cut up between other ranks than share the sample."""
    for q in network.module.parameters() if network.gather else ():
        if not is_sharded(q):
            continue
        if ranks.group is None:
            raise ValueError(
                f"the weights are cut up between {q.device_mesh.size()} ranks: pass "
                "group=mesh.get_group(), and to each rank its share of the batches"
            )
        if q.device_mesh.mesh.flatten().tolist() != dist.get_process_group_ranks(ranks.group):
            raise ValueError(
                "the weights are cut up between other ranks than those of group=: pass "
                "group=mesh.get_group()"
            )
        if q.is_complex():
            raise ValueError("complex weights are not cut up between ranks: use real ones")


def unequal_numbers(ranks: Alone, number: int) -> None:
    """Raise ValueError, on all ranks, where they have different numbers of batches though they
    need each other's weights for each.
    """
    if ranks.in_step and len(numbers := set(ranks.gather(number))) > 1:
        raise ValueError(
            f"ranks have from {min(numbers)} to {max(numbers)} batches: where weights are cut up "
            "between them, all need the same number, since they evaluate in step. Cut the sample "
            "into a multiple of the number of ranks; batches may have different lengths"
        )


def number_of_classes(num_classes: object) -> int | None:
    """`num_classes` as an int; None, where it is to be read off the logits, stays None."""
    if num_classes is None:
        return None
    try:
        number = operator.index(num_classes)
    except TypeError:
        number = 0
    if number < 2 or isinstance(num_classes, bool):
        raise ValueError(
            f"num_classes={num_classes!r}: an integer of at least 2 is needed. For one logit an "
            "example "
            "pass loss=nn.BCEWithLogitsLoss(), for regression loss=nn.MSELoss()"
        )
    return number


def check_batches(batches: object) -> None:
    """`batches` must be something to be gone through, and again, not one pair (x, y) itself."""
    if hasattr(batches, "__next__"):
        raise ValueError(
            "batches is an iterator, spent after one pass: give a sequence, list(batches)"
        )
    if isinstance(batches, Tensor | Mapping | str) or not (
        hasattr(batches, "__iter__") or hasattr(batches, "__getitem__")
    ):
        raise TypeError(
            f"batches is a {type(batches).__name__}: a sequence of batches is needed, such as [(x, "
            "y)]"
        )
    if (
        isinstance(batches, tuple)
        and len(batches) == 2
        and all(isinstance(t, Tensor) for t in batches)
    ):
        raise ValueError("batches is one pair (x, y): put it in a list, batches=[(x, y)]")


def check_pair(where: str, content: object) -> None:
    """A batch must be (x, y) with an example in each row, where no `forward` says otherwise."""
    hint = "tell how it is evaluated, forward=lambda module, batch: (outputs, targets)"
    if not isinstance(content, list | tuple) or isinstance(content, Mapping):
        raise ValueError(
            f"{where} is {type(content).__name__}, not a pair of tensors (x, y): {hint}"
        )
    if len(content) != 2:
        raise ValueError(
            f"{where} has {len(content)} parts, not the pair of tensors (x, y): {hint}"
        )
    x, y = content
    if not isinstance(x, Tensor) or not isinstance(y, Tensor):
        raise ValueError(
            f"{where} is not a pair of tensors (x, y) but ({type(x).__name__}, "
            f"{type(y).__name__}): {hint}"
        )
    if y.dim() == 0 or x.dim() == 0 or len(x) != len(y):
        raise ValueError(
            f"{where}: labels of shape {tuple(y.shape)} for inputs of shape {tuple(x.shape)}: need "
            f"({len(x) if x.dim() else 'n'}, ...), one for each example"
        )
    if len(y) == 0:
        raise ValueError(f"{where} is empty: leave it out")


def check_numbers(where: str, content: object, dtype: torch.dtype, converts: bool) -> None:
    """dtypes and values of a batch's tensors."""
    for t in tensors(content):
        own = COMPLEX[dtype] if t.is_complex() else dtype
        if (t.is_floating_point() or t.is_complex()) and t.dtype != own and not converts:
            other = t.real.dtype if t.dtype in REAL or t.is_complex() else torch.float32
            raise ValueError(
                f"{where} has dtype {t.dtype}, the module {dtype}: convert one, or pass "
                f"dtype={other}"
            )
        if t.device.type == "meta":
            raise ValueError(f"{where} is on the meta device, without numbers")
        if (t.is_floating_point() or t.is_complex()) and not is_finite(t):
            raise ValueError(f"{where} has non-finite inputs: clean the data")


def check_outputs(where: str, outputs: Tensor) -> None:
    """Outputs must be finite."""
    if not is_finite(outputs):
        raise ValueError(
            f"{where} has non-finite outputs (logits): the weights overflow, the data are off "
            "scale, or logits are "
            "masked with -inf (use a large negative number)"
        )


def failed(where: str, content: object, error: Exception) -> ValueError:
    """The module's own error, with the batch that it fails on and what is known to cause
    such."""
    kinds = ", ".join(
        f"{str(t.dtype).removeprefix('torch.')} {tuple(t.shape)}" for t in tensors(content)
    )
    hint = ""
    if (
        any(t.dtype == torch.uint8 for t in tensors(content))
        and "dtype" in str(error).lower() + "Byte"
    ):
        hint = ". Images of bytes must be converted, x.float() / 255"
    return ValueError(f"{where} ({kinds}): the module fails on it: {error}{hint}")
