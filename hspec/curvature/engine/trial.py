"""A trial on a few examples, before the first product: which layers give right derivatives, at what price.

Derivatives are compared with differences, in float64 where the net allows it, at a point near θ (so
that no unit sits exactly on the kink of its ReLU, as many do at zero biases). A derivative that is
contradicted is refused before a number is returned.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from hspec.curvature.data import Batch, Data
from hspec.curvature.engine import differences
from hspec.curvature.engine.blame import blame
from hspec.curvature.engine.graphs import MAX_BLOCK, BatchGraph, Rung
from hspec.curvature.engine.layers import RUNGS, FastLayers, Plain
from hspec.curvature.engine.memory import SavedBytes, free_memory, is_out_of_memory, resident
from hspec.curvature.engine.network import Network, coordinates
from hspec.curvature.loss import Loss, WholeTerms

FEW = 8  # examples of the trial
KINDS = {
    "first": "the first derivative",
    "jacobian": "the derivative of the outputs in the parameters (by double backward)",
    "second": "the second derivative",
}
NEARBY = 1e-2  # how far from θ derivatives are compared, relative to its size
COPY_BYTES = 200  # a parameter's share of the memory that the comparison takes
AGREES = {torch.float64: 1e-6, torch.float32: 2e-2}  # of two evaluations of one product


@dataclass(frozen=True)
class Plan:
    """How graphs are built, and what was found on the way.

    rung: the layers (see `layers`); block: vectors a sweep; wrong: derivatives that are refused, and
    why; note: why the layers are not the fast ones; checks: what each derivative was compared with;
    fixed_bytes, bytes_per_number: of a graph, the latter by entry of its batch.
    """

    rung: Rung = FastLayers
    block: int = 1
    wrong: dict[str, str] = field(default_factory=dict)
    note: str = ""
    checks: dict[str, str] = field(default_factory=dict)
    fixed_bytes: float = 0.0
    bytes_per_number: float = 0.0

    def num_bytes(self, batch: Batch) -> int:
        """Of memory that the graph of `batch` holds."""
        return math.ceil(self.fixed_bytes + self.bytes_per_number * batch.num_numbers)


def make_plan(network: Network, data: Data, loss: Loss, check: bool) -> Plan:
    """The plan for products of this network on this sample; `check=False` leaves out the comparison."""
    tried: list[Attempt] = []
    for rung in RUNGS:
        tried.append(_attempt(network, data, loss, rung, check))
        if tried[-1].is_right:
            break
    usable = [attempt for attempt in tried if attempt.products is not None]
    if not usable:
        raise tried[-1].errors["all"]
    chosen = min(usable, key=lambda attempt: len(attempt.faults))  # the first of the best
    wrong = _refusals(network, data, chosen)
    batch, rung = chosen.batch, chosen.rung
    note = "" if rung is FastLayers else f"by {rung.name}, since {tried[0].why}"
    fixed, slope = _bytes(network, data, loss, batch, rung)
    block = _block(network, data, loss, chosen)
    checks = {kind: _said(kind, finding, chosen) for kind, finding in chosen.findings.items()}
    return Plan(rung, block, wrong, note, checks, fixed, slope)


@dataclass
class Attempt:
    """One rung on a few examples: its products, what failed, and what differences say of them."""

    rung: Rung
    batch: Batch | None = None
    products: dict[str, Tensor] | None = None
    errors: dict[str, Exception] = field(default_factory=dict)
    findings: dict[str, differences.Finding] = field(default_factory=dict)
    compared_in: torch.dtype | None = None
    differs: bool = False  # from the same products in float64, more than PyTorch's own layers do

    @property
    def faults(self) -> list[str]:
        """The derivatives that failed or are contradicted."""
        wrong = [kind for kind, finding in self.findings.items() if finding.is_wrong]
        return [*self.errors, *(kind for kind in wrong if kind not in self.errors)]

    @property
    def is_right(self) -> bool:
        """Whether nothing speaks against it."""
        return self.products is not None and not self.faults and not self.differs

    @property
    def why(self) -> str:
        """What speaks against it, in a few words."""
        for kind, error in self.errors.items():
            where = "" if kind == "all" else f"{KINDS[kind]}: "
            return f"with {self.rung.name}, {where}{_first_line(error)}"
        return f"{self.rung.name} give other numbers"


def _attempt(network: Network, data: Data, loss: Loss, rung: Rung, check: bool) -> Attempt:
    attempt = Attempt(rung)
    for batch in data.first_few(FEW):
        try:
            graph = BatchGraph.build(network, data, batch, loss, rung)
        except Exception as error:
            _raise_if_out_of_memory(error)
            attempt.errors = {"all": error}
            continue
        v = differences.direction(network.parameters, torch.Generator().manual_seed(1))
        products, errors = _products(graph, network, v)
        attempt.batch, attempt.products, attempt.errors = batch, products, errors
        break
    if check and attempt.products is not None:
        _compare(attempt, network, data, loss)
    return attempt


def _products(graph: BatchGraph, network: Network, v: list[Tensor]):
    """({kind: product with v}, {kind: the error it ended in})."""
    row, products, errors = _row(v)[None], {}, {}
    whole = isinstance(graph.terms, WholeTerms)
    ways = {"first": graph.loss_gradient, "second": lambda: graph.hess(row)}
    if not whole:
        ways["jacobian"] = lambda: graph.jacobian(row)
    for kind, way in ways.items():
        try:
            products[kind] = way()[0].detach()
        except Exception as error:
            _raise_if_out_of_memory(error)
            errors[kind] = error
    return products, errors


def _compare(attempt: Attempt, network: Network, data: Data, loss: Loss) -> None:
    """Fill in what differences say: in float64 where the net can be computed in it, else in its own dtype."""
    for dtype in dict.fromkeys((torch.float64, network.dtype)):
        try:
            if network.num_parameters * COPY_BYTES > free_memory(network.device):
                return
            other = network.in_dtype(dtype)
            batch = data.in_dtype(attempt.batch, dtype)
            if dtype != network.dtype:
                attempt.differs = _differs(attempt, network, other, data, batch, loss)
            attempt.findings = _against_differences(other, data, batch, loss, attempt)
            attempt.compared_in = dtype
            return
        except Exception as error:
            _raise_if_out_of_memory(error)


def _differs(attempt, network, other, data, batch, loss) -> bool:
    """Whether products in the net's own dtype are worse than PyTorch's own layers give them."""
    v = differences.direction(other.parameters, torch.Generator().manual_seed(1))
    graph = BatchGraph.build(other, data, batch, loss, attempt.rung)
    right, _ = _products(graph, other, v)
    off = _off(attempt.products, right)
    if off <= AGREES[network.dtype] or attempt.rung is Plain:
        return False
    plain, errors = _products(
        BatchGraph.build(network, data, attempt.batch, loss, Plain),
        network,
        differences.direction(network.parameters, torch.Generator().manual_seed(1)),
    )
    return not errors and _off(plain, right) < off / 2


def _off(found: dict[str, Tensor], right: dict[str, Tensor]) -> float:
    sizes = {kind: float(torch.linalg.vector_norm(t)) for kind, t in right.items()}
    return max(
        float(torch.linalg.vector_norm(found[kind].double() - right[kind])) / (sizes[kind] or 1.0)
        for kind in found.keys() & right.keys()
    )


def _against_differences(network, data, batch, loss, attempt) -> dict[str, differences.Finding]:
    generator = torch.Generator().manual_seed(0)
    _leave_kinks(network, data, batch, generator)
    base = [q.detach().clone() for q in network.parameters]
    v = differences.direction(base, generator)
    graph = BatchGraph.build(network, data, batch, loss, attempt.rung)
    products, errors = _products(graph, network, v)
    attempt.errors |= errors
    exact = {kind: (t, float(torch.linalg.vector_norm(t))) for kind, t in products.items()}
    if "first" in products:
        g, row = products["first"], _row(v)
        exact["first"] = torch.dot(g, row), float(torch.dot(g.abs(), row.abs()))
    del graph

    def evaluate(t: float) -> dict[str, Tensor]:
        network.move_to([q + t * d for q, d in zip(base, v, strict=True)])
        return _quantities(network, data, batch, loss)

    return differences.compare(exact, evaluate, network.dtype)


def _leave_kinks(network: Network, data: Data, batch: Batch, generator: torch.Generator) -> None:
    """Move θ a little, to where no unit sits on its kink for a reason; unless that overflows."""
    base = [q.detach().clone() for q in network.parameters]
    v = differences.direction(base, generator)
    network.move_to([q + NEARBY * d for q, d in zip(base, v, strict=True)])
    with data.without_graph():
        outputs, _ = data.evaluate(network.module, batch)
    if not outputs.isfinite().all():
        network.move_to(base)


def _quantities(network: Network, data: Data, batch: Batch, loss: Loss) -> dict[str, Tensor]:
    """What the derivatives are derivatives of, by PyTorch's own first derivative."""
    with torch.enable_grad():
        outputs, targets = data.evaluate(network.module, batch)
        f, terms = loss.at(outputs, targets, batch.where)
        if isinstance(terms, WholeTerms):
            g = torch.autograd.grad(terms.total, network.parameters, allow_unused=True)
        else:
            g = torch.autograd.grad(f, network.parameters, terms.residual(), allow_unused=True)
    g = [torch.zeros_like(q) if t is None else t for t, q in zip(g, network.parameters, strict=True)]
    return {"first": terms.value(), "jacobian": f.detach(), "second": _row(g)}


def _refusals(network: Network, data: Data, chosen: Attempt) -> dict[str, str]:
    if not chosen.faults:
        return {}
    place = blame(network, data, chosen.batch)
    place = f" in {place}" if place else ""
    advice = (
        "Write it in functions that PyTorch differentiates twice (a custom backward marked "
        "once_differentiable, or made under torch.no_grad(), is not)"
    )
    if "first" in chosen.faults and "first" not in chosen.errors:
        off = chosen.findings["first"].off
        said = (
            f"autograd's gradient is not the derivative of the loss{place}: differences contradict it by "
            f"{off:.2g} of its size. Something cuts the graph (torch.no_grad(), .detach(), a reentrant "
            "checkpoint, a backward of its own): remove it, leave the parameters before it out of "
            "parameters=…, or pass check=False to compute what autograd makes of it"
        )
        return dict.fromkeys(KINDS, said)
    wrong = {}
    for kind in chosen.faults:
        if kind in chosen.errors:
            said = _first_line(chosen.errors[kind])
            wrong[kind] = f"{KINDS[kind]} cannot be computed{place}: {said}. {advice}"
        else:
            off = chosen.findings[kind].off
            wrong[kind] = (
                f"{KINDS[kind]} is wrong{place}: differences contradict it by {off:.2g} of its size. "
                f"{advice}; check=False computes with it all the same"
            )
    return wrong


def _said(kind: str, finding: differences.Finding, attempt: Attempt) -> str:
    n = attempt.batch.num_numbers
    dtype = str(attempt.compared_in).removeprefix("torch.")
    if finding.verdict == "agrees":
        return f"agrees with differences to {finding.off:.1g} ({dtype}, on a batch of {n} numbers)"
    if finding.is_wrong:
        return f"contradicted by differences, off by {finding.off:.2g}"
    return f"not decided: differences to the two sides disagree ({dtype}), as at kinks"


def _block(network: Network, data: Data, loss: Loss, chosen: Attempt) -> int:
    """Vectors a sweep, by a rule: blocks fold into one matrix product where layers are linear.

    Convolutions on a CPU have matrix products large enough for one vector (docs/decisions/0008).
    """
    on_cpu = network.device.type == "cpu"
    if chosen.faults or (on_cpu and any(q.dim() > 2 for q in network.parameters)):
        return 1
    graph = BatchGraph.build(network, data, chosen.batch, loss, chosen.rung)
    if not graph.terms.blocks or graph.z is None:
        return 1
    V = torch.stack(
        [_row(differences.direction(network.parameters, torch.Generator().manual_seed(i))) for i in (1, 2)]
    )
    U = torch.stack([t.expand_as(graph.outputs) for t in V[:, :1]])
    try:
        for product, rows in (
            (BatchGraph.hess, V),
            (BatchGraph.gauss_newton, V),
            (BatchGraph.jacobian_transpose, U),
        ):
            together, alone = product(graph, rows), torch.cat([product(graph, row) for row in rows.split(1)])
            if _off({"block": together}, {"block": alone.double()}) > AGREES[network.dtype]:
                return 1
    except Exception as error:  # a function that knows no blocks: one vector at a time is right
        _raise_if_out_of_memory(error)
        return 1
    return MAX_BLOCK


def _bytes(network: Network, data: Data, loss: Loss, batch: Batch, rung: Rung) -> tuple[float, float]:
    """(bytes of a graph whatever the batch, bytes by entry of the batch)."""
    whole = _weight(network, data, loss, batch, rung)
    if data.is_paired and len(batch.content[1]) > 1:
        x, y = batch.content
        half = replace(batch, content=(x[: len(y) // 2], y[: len(y) // 2]))
        try:
            less = _weight(network, data, loss, half, rung)
        except Exception as error:
            _raise_if_out_of_memory(error)
        else:
            slope = max(0.0, (whole - less) / (batch.num_numbers - half.num_numbers))
            return max(0.0, whole - slope * batch.num_numbers), slope
    return 0.0, whole / max(1, batch.num_numbers)


def _weight(network: Network, data: Data, loss: Loss, batch: Batch, rung: Rung) -> float:
    saved = SavedBytes(besides=network.parameters)
    try:
        with saved:
            graph = BatchGraph.build(network, data, batch, loss, rung)
    except RuntimeError as error:
        _raise_if_out_of_memory(error)
        before = resident(network.device)  # torch.func inside the net knows no hooks on saved tensors
        graph = BatchGraph.build(network, data, batch, loss, rung)
        saved.total = max(0, resident(network.device) - before)
    return float(saved.total + sum(g.nbytes for g in graph.gradient if g is not None))


def _row(pieces: list[Tensor]) -> Tensor:
    return torch.cat([coordinates(t.detach()) for t in pieces])


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines() or [type(error).__name__]
    return text[0].split(". ")[0].rstrip(".")


def _raise_if_out_of_memory(error: Exception) -> None:
    if is_out_of_memory(error):
        raise error
