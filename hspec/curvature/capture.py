"""On a GPU: a whole product recorded as one CUDA graph, replayed without launching its kernels one by one."""

import warnings

import torch
from torch import Tensor

from hspec.curvature.operators import RiskOperator


class Captured(RiskOperator):
    """The product of `operator` with `num_columns` columns at a time, replayed; other shapes are computed afresh."""

    def __init__(self, operator: RiskOperator, num_columns: int):
        super().__init__(operator.risk, operator.name)
        self.operator = operator
        self.X = torch.zeros(self.shape[0], num_columns, dtype=self.dtype, device=self.device)
        # Backward runs on the stream on which forward ran, and only one stream is recorded: build the graphs on it.
        stream = torch.cuda.Stream(self.device)
        stream.wait_stream(torch.cuda.current_stream(self.device))
        self.risk.graphs.forget()
        with torch.cuda.stream(stream):
            for _ in range(3):  # libraries choose their algorithms in the first calls
                operator._matmat(self.X)
        torch.cuda.current_stream(self.device).wait_stream(stream)
        if len(self.risk.graphs.kept) < self.risk.sample.num_batches:
            raise RuntimeError("not every graph fits in the memory budget, so products are not static")
        # The recording reads the graphs' memory, so they stay even where the risk forgets them.
        self.graphs = list(self.risk.graphs.kept.values())
        self.recording = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.recording, stream=stream):
            self.Y = operator._matmat(self.X)

    def __repr__(self) -> str:
        return f"{self.operator!r}, captured for {self.X.shape[1]} columns"

    def _rows(self, V: Tensor) -> Tensor:
        return self.operator._rows(V)

    def _matmat(self, X: Tensor) -> Tensor:
        if X.shape != self.X.shape:
            return super()._matmat(X)
        self.X.copy_(X)
        self.recording.replay()
        return self.Y.clone()


def capture(operator: RiskOperator, num_columns: int = 1) -> RiskOperator:
    """`operator` with its product recorded as a CUDA graph; `operator` itself, with a warning, where that fails.

    It pays where kernels are shorter than their launch: small nets, small batches. On the CPU nothing is recorded.
    """
    if operator.device.type != "cuda":
        return operator
    try:
        return Captured(operator, num_columns)
    except RuntimeError as error:
        operator.risk.graphs.forget()
        warnings.warn(
            f"{operator.name} is not captured as a CUDA graph, and runs without: {error}", stacklevel=2
        )
        return operator
