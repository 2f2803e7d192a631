"""What a Risk refuses, each with the fact and the remedy."""

import math

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd


def refuse_dropout(module: nn.Module) -> None:
    """Raise ValueError if a layer of `module` would draw random masks."""
    for name, layer in module.named_modules():
        rate = layer.p if isinstance(layer, _DropoutNd) else getattr(layer, "dropout", 0.0)
        if layer.training and isinstance(rate, int | float) and rate > 0:
            raise ValueError(
                f"layer {name or type(layer).__name__!r} is in training mode with dropout {rate}. "
                "Call model.eval() first: dropout makes another matrix at every product"
            )


def check_num_classes(num_classes) -> None:
    if not isinstance(num_classes, int) or num_classes < 2:
        raise ValueError(f"num_classes={num_classes!r}: an integer of at least 2 is needed")


def check_batches(batches) -> None:
    """`batches` must give the same (x, y) pairs each time it is gone through."""
    if iter(batches) is batches:
        raise ValueError("batches is an iterator, spent after one pass: give a sequence, list(batches)")


def check_batch(index: int, x: Tensor, y: Tensor, *, num_classes: int, dtype, converts: bool, device) -> None:
    """Shapes, devices, dtypes and values of batch `index`."""
    where = f"batch {index}"
    if not isinstance(x, Tensor) or not isinstance(y, Tensor):
        raise ValueError(f"{where} is not a pair of tensors (x, y)")
    if y.dim() != 1 or len(x) != len(y):
        raise ValueError(
            f"{where}: labels of shape {tuple(y.shape)} for inputs of shape {tuple(x.shape)}: need (n,)"
        )
    if len(y) == 0:
        raise ValueError(f"{where} is empty: leave it out")
    if {x.device, y.device} != {device}:
        raise ValueError(
            f"{where} lives on {x.device} (inputs) and {y.device} (labels), the module on {device}: "
            "move them to one device, x.to(device)"
        )
    if x.is_floating_point() and x.dtype != dtype and not converts:
        raise ValueError(
            f"{where} has dtype {x.dtype}, the module {dtype}: convert one, or pass dtype={dtype}"
        )
    if x.is_floating_point() and not x.isfinite().all():
        raise ValueError(f"{where} has non-finite inputs: clean the data")
    if y.is_floating_point() or y.is_complex() or y.dtype == torch.bool:
        raise ValueError(f"{where} has labels of dtype {y.dtype}: class indices are needed, y.long()")
    low, high = int(y.min()), int(y.max())
    if low < 0 or high >= num_classes:
        raise ValueError(
            f"{where} has labels out of range: {low} to {high}, where 0 to {num_classes - 1} are the classes"
        )


def check_logits(index: int, logits: Tensor, num_examples: int, num_classes: int) -> None:
    """The module's output on batch `index` must be finite logits, one row an example, one column a class."""
    if not isinstance(logits, Tensor) or logits.shape != (num_examples, num_classes):
        shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ValueError(
            f"batch {index}: the module gives {shape}, where logits of shape ({num_examples}, {num_classes}) are "
            "needed: is num_classes right?"
        )
    if not logits.isfinite().all():
        raise ValueError(
            f"batch {index} has non-finite logits: the weights overflow, or the data are off scale"
        )


def check_repeatable(first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor]) -> None:
    """Two passes over the data must see the same (logits, labels): otherwise every product has another matrix."""
    (f, y), (g, z) = first, second
    same = f.shape == g.shape and torch.equal(y, z)
    if same:
        tolerance = math.sqrt(torch.finfo(f.dtype).eps) * max(1.0, float(f.abs().max()))
        same = float((f - g).abs().max()) <= tolerance
    if not same:
        raise ValueError(
            "two passes over the data gave different logits or labels, so the matrix would change between products: "
            "switch off shuffling, augmentation and randomness in the module (a list of batches is always safe)"
        )
