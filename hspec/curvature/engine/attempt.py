"""A rung on a few examples: its products, and what differences say of them.

Derivatives are compared in float64 where the net allows it, at a point near θ, so that no unit sits
exactly on the kink of its ReLU (as many do at zero biases).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from hspec.curvature.data import Batch
from hspec.curvature.engine import differences
from hspec.curvature.engine.batch_graph import BatchGraph, Objective, Rung
from hspec.curvature.engine.layers import Plain
from hspec.curvature.engine.memory import SavedBytes, free_memory, is_out_of_memory, resident
from hspec.curvature.engine.padding import HeldPadding
from hspec.curvature.loss import NotNormalised, WholeTerms

FEW, FEWER, LARGE = 4, 2, 1_000_000  # examples of an attempt; of one with more parameters than that
NEARBY = 1e-2  # how far from θ derivatives are compared, relative to its size
COPY_BYTES = 200  # a parameter's share of the memory that the comparison takes
KINDS = {
    "first": "the first derivative",
    "jacobian": "the derivative of the outputs in the parameters (by double backward)",
    "second": "the second derivative",
}
AGREES = {torch.float64: 1e-6, torch.float32: 2e-2}  # of two evaluations of one product

Products = dict[str, Tensor]  # what is compared of them, by kind of derivative


@dataclass
class Attempt:
    """One rung on a few examples: what of its products failed, and what differences say of them.

    batch: the examples; None where no graph could be built.
    """

    rung: Rung
    batch: Batch | None = None
    errors: dict[str, Exception] = field(default_factory=dict)
    findings: dict[str, differences.Finding] = field(default_factory=dict)
    compared_in: torch.dtype | None = None
    not_compared: str = ""  # why, where nothing is said
    differs: bool = False  # from the same products in float64, more than PyTorch's own layers do
    num_bytes: float = 0.0  # of a graph of the examples
    copy: Objective | None = None  # the network's, in its own dtype, for whoever moves it next

    @property
    def faults(self) -> list[str]:
        """The derivatives that failed or are contradicted."""
        wrong = [kind for kind, finding in self.findings.items() if finding.is_wrong]
        return list(dict.fromkeys([*self.errors, *wrong]))

    @property
    def is_right(self) -> bool:
        """Whether nothing speaks against it."""
        return self.batch is not None and not self.faults and not self.differs

    @property
    def why(self) -> str:
        """What speaks against it, in a few words."""
        for kind, error in self.errors.items():
            where = f"{KINDS[kind]}: " if kind in KINDS else ""
            return f"with {self.rung.name}, {where}{first_line(error)}"
        return f"{self.rung.name} give other numbers"


def attempt(objective: Objective, rung: Rung, check: bool) -> Attempt:
    """The products of a rung on a few examples of the first batch,
    or on all of it where it takes no fewer.
    """
    tried = Attempt(rung)
    few = FEW if objective.network.num_parameters <= LARGE else FEWER
    for batch in objective.data.first_few(few):
        try:
            tried.num_bytes = weight(objective, batch, rung)
        except Exception as error:
            raise_if_out_of_memory(error)
            tried.errors = {"all": error}
            continue
        tried.batch, tried.errors = batch, {}
        if not (check and _compare(tried, objective)):
            graph = BatchGraph.build(objective, batch, rung)
            generator = torch.Generator().manual_seed(1)
            v = differences.direction(objective.network.parameters, generator)
            _, tried.errors = _products(graph, v)
        break
    return tried


def weight(objective: Objective, batch: Batch, rung: Rung) -> float:
    """Bytes that a graph of the batch holds beside the parameters."""
    network = objective.network
    saved = SavedBytes(besides=network.parameters)
    try:
        with saved:
            graph = BatchGraph.build(objective, batch, rung)
    except RuntimeError as error:
        raise_if_out_of_memory(error)
        before = resident(
            network.device
        )  # torch.func inside the net knows no hooks on what is saved
        graph = BatchGraph.build(objective, batch, rung)
        saved.total = max(0, resident(network.device) - before)
    return float(saved.total + sum(g.nbytes for g in graph.gradient if g is not None))


def _products(graph: BatchGraph, v: list[Tensor]) -> tuple[Products, dict[str, Exception]]:
    """({kind: product with v}, {kind: the error it ended in})."""
    parameters, products, errors = graph.network.parameters, {}, {}
    ways = {
        "first": lambda: differences.sketch(graph.gradient, parameters),
        "second": lambda: differences.sketch(graph.hess_pieces(v), parameters),
    }
    if not isinstance(graph.terms, WholeTerms):
        ways["jacobian"] = lambda: graph.jacobian_pieces(v).detach()
    for kind, way in ways.items():
        try:
            products[kind] = way()
        except Exception as error:
            raise_if_out_of_memory(error)
            errors[kind] = error
    return products, errors


def _compare(tried: Attempt, objective: Objective) -> bool:
    """Fill in what differences say: in float64 where the net can be computed in it,
    else in its own dtype. Whether they say anything.
    """
    network = objective.network
    if network.num_parameters * COPY_BYTES > free_memory(network.device):
        tried.not_compared = "no memory for a copy of the network"
        return False
    for dtype in dict.fromkeys((torch.float64, network.dtype)):
        try:
            other = objective.in_dtype(dtype)
            batch = objective.data.in_dtype(tried.batch, dtype)
            near = _nearby(tried.rung, other, batch, network.parameters)
            findings = _against_differences(near, other, batch)
            same = other if dtype == network.dtype else objective.in_dtype(network.dtype)
            differs = same is not other and _differs(tried, same, near)
        except NotNormalised as error:
            raise ValueError(
                "nn.NLLLoss: the outputs are log-probabilities at these parameters alone. A little "
                f"away from them, {error}. Its derivatives as they are, with G zero: "
                'loss=torch.nn.functional.nll_loss, reduction="mean"'
            ) from error
        except Exception as error:  # the net cannot be computed in this dtype
            raise_if_out_of_memory(error)
            tried.not_compared = first_line(error)
            continue
        tried.not_compared = ""
        tried.findings, tried.compared_in, tried.differs = findings, dtype, differs
        tried.copy = same
        tried.errors |= near.errors
        return True
    return False


@dataclass(frozen=True)
class _Nearby:
    """A point near θ, a direction, and the products there.

    slope: of the loss along the direction, by its gradient, and the size of what that sums up.
    """

    theta: list[Tensor]
    v: list[Tensor]
    products: Products
    errors: dict[str, Exception]
    slope: tuple[Tensor, float] | None


def _nearby(
    rung: Rung, objective: Objective, batch: Batch, parameters: Sequence[Tensor]
) -> _Nearby:
    """Where derivatives are compared, near `parameters`; the objective's θ is moved there."""
    generator = torch.Generator().manual_seed(0)
    _leave_kinks(objective, batch, parameters, generator)
    theta = [q.detach().clone() for q in objective.network.parameters]
    v = differences.direction(theta, generator)
    graph = BatchGraph.build(objective, batch, rung)
    products, errors = _products(graph, v)
    slope = _slope(graph.gradient, v) if "first" in products else None
    return _Nearby(theta, v, products, errors, slope)


def _slope(gradient: Sequence[Tensor | None], v: list[Tensor]) -> tuple[Tensor, float]:
    """(⟨g, v⟩, Σ |g_i v_i|)."""
    slope, size = torch.zeros((), dtype=v[0].real.dtype, device=v[0].device), 0.0
    for g, d in zip(gradient, v, strict=True):
        if g is not None:
            terms = differences.real(g) * differences.real(d)
            slope += terms.sum()
            size += float(terms.abs_().sum())
    return slope, size


def _differs(tried: Attempt, same: Objective, near: _Nearby) -> bool:
    """Whether products in the net's own dtype, by a copy of it, are farther from these than
    PyTorch's own layers give them; errors on the way are noted.
    """
    same.network.move_to(near.theta)
    v = [t.to(q.dtype) for t, q in zip(near.v, same.network.parameters, strict=True)]
    products, errors = _products(BatchGraph.build(same, tried.batch, tried.rung), v)
    tried.errors |= errors
    off = relative(products, near.products)
    if off <= AGREES[same.network.dtype] or tried.rung is Plain:
        return False
    plain, errors = _products(BatchGraph.build(same, tried.batch, Plain), v)
    return not errors and relative(plain, near.products) < off / 2


def relative(found: Products, right: Products) -> float:
    """The largest relative difference among products of one kind."""
    differing = []
    for kind in found.keys() & right.keys():
        off, size = (
            float(torch.linalg.vector_norm(t))
            for t in (found[kind].double() - right[kind].double(), right[kind].double())
        )
        differing.append(off / (size or 1.0))
    return max(differing, default=0.0)


def _against_differences(
    near: _Nearby, objective: Objective, batch: Batch
) -> dict[str, differences.Finding]:
    """{kind: finding}; the objective's θ, which is the point nearby, is moved about on the way."""
    exact = {kind: (t, float(torch.linalg.vector_norm(t))) for kind, t in near.products.items()}
    if "first" in exact:
        exact["first"] = near.slope

    padding = HeldPadding()

    def evaluate(t: float) -> Products:
        objective.network.move_to(near.theta, near.v, t)
        padding.rewind()
        return _quantities(objective, batch)

    with padding:
        with objective.data.without_graph():
            objective.data.evaluate(objective.network.module, batch)  # its rows there are held
        return differences.compare(exact, evaluate, objective.network.dtype)


def _leave_kinks(
    objective: Objective, batch: Batch, base: Sequence[Tensor], generator: torch.Generator
) -> None:
    """Move θ a little from `base`, to where no unit sits on its kink for a reason; unless that
    overflows.
    """
    network, data = objective.network, objective.data
    network.move_to(base, differences.direction(base, generator), NEARBY)
    with data.without_graph():
        outputs, _ = data.evaluate(network.module, batch)
    if not outputs.isfinite().all():
        network.move_to(base)


def _quantities(objective: Objective, batch: Batch) -> Products:
    """What the derivatives are derivatives of, by PyTorch's own first derivative."""
    parameters = objective.network.parameters
    with torch.enable_grad():
        outputs, targets = objective.data.evaluate(objective.network.module, batch)
        f, terms = objective.loss.at(outputs, targets, batch.where)
        if isinstance(terms, WholeTerms):
            g = torch.autograd.grad(terms.total, parameters, allow_unused=True)
        else:
            g = torch.autograd.grad(f, parameters, terms.residual(), allow_unused=True)
    second = differences.sketch(g, parameters)
    return {"first": terms.value(), "jacobian": f.detach(), "second": second}


def first_line(error: Exception) -> str:
    """What an error says, in a sentence."""
    text = str(error).strip().splitlines() or [type(error).__name__]
    return text[0].split(". ")[0].rstrip(".")


def raise_if_out_of_memory(error: Exception) -> None:
    """What no other rung would change."""
    if is_out_of_memory(error):
        raise error
