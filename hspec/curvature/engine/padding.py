"""Padding rows of embeddings, which PyTorch keeps as they are: no gradient reaches them
(`padding_idx`).

The loss is a function of the other entries; its derivatives in these are zero. Where derivatives
are compared with differences, the rows must not move either.
"""

import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode


class HeldPadding(TorchFunctionMode):
    """Passes that are made while it is active, one `rewind` before each, give every padded
    position the row that it had in the first.
    """

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[Tensor] = []  # by call of the pass
        self.calls = 0

    def rewind(self) -> None:
        """Another pass begins."""
        self.calls = 0

    def __torch_function__(self, func, types, args=(), kwargs=None) -> Tensor:
        output = func(*args, **(kwargs or {}))
        return self._held(output, *args, **(kwargs or {})) if func is F.embedding else output

    def _held(self, output: Tensor, input, weight, padding_idx=None, *args, **named) -> Tensor:
        if padding_idx is None:
            return output
        if self.calls == len(self.rows):
            self.rows.append(weight.detach()[padding_idx].clone())
        row = self.rows[self.calls]
        self.calls += 1
        padded = input == padding_idx % len(weight)
        return output.where(~padded.unsqueeze(-1), row.to(output))
