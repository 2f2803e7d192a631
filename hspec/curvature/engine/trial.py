"""A trial on a few examples, before the first product: which layers give right derivatives, at what
price.

Derivatives are compared with differences, in float64 where the net allows it, at a point near θ (so
that no unit sits exactly on the kink of its ReLU, as many do at zero biases). A derivative that is
contradicted is refused before a number is returned, as is a net that draws at random.
"""

import math
from dataclasses import dataclass, field, replace

from hspec.curvature.data import Batch
from hspec.curvature.engine import differences
from hspec.curvature.engine.attempt import COPY_BYTES, KINDS, Attempt, attempt, first_line
from hspec.curvature.engine.batch_graph import Objective, Rung
from hspec.curvature.engine.blame import blame
from hspec.curvature.engine.elsewhere import refuse_randomness
from hspec.curvature.engine.layers import RUNGS, FastLayers
from hspec.curvature.engine.memory import free_memory
from hspec.curvature.engine.sizes import graph_bytes
from hspec.distributed import Alone


@dataclass(frozen=True)
class Plan:
    """How graphs are built, and what was found on the way.

    rung: the layers (see `layers`); block: vectors a sweep, None until it is asked for; wrong:
    derivatives that are refused, and why; note: why the layers are not the fast ones; checks: what
    each derivative was compared with;
    fixed_bytes, bytes_per_number: of a graph, the latter by entry of its batch.
    """

    rung: Rung = FastLayers
    block: int | None = None
    wrong: dict[str, str] = field(default_factory=dict)
    note: str = ""
    checks: dict[str, str] = field(default_factory=dict)
    fixed_bytes: float = 0.0
    bytes_per_number: float = 0.0

    def num_bytes(self, batch: Batch) -> int:
        """Of memory that the graph of `batch` holds."""
        return math.ceil(self.fixed_bytes + self.bytes_per_number * batch.num_numbers)


def make_plan(objective: Objective, check: bool) -> Plan:
    """The plan for products of this objective; `check=False` leaves out the comparison."""
    tried: list[Attempt] = []
    for rung in RUNGS:
        tried.append(attempt(objective, rung, check))
        if tried[-1].is_right:
            break
        tried[-1].copy = None
    usable = [one for one in tried if one.batch is not None]
    if not usable:
        raise tried[-1].errors["all"]
    chosen = min(usable, key=lambda one: len(one.faults))  # the first of the best
    if check:
        refuse_randomness(objective, chosen.batch, chosen.copy)
    wrong = _refusals(objective, chosen)
    rung = chosen.rung
    note = "" if rung is FastLayers else f"by {rung.name}, since {tried[0].why}"
    fixed, slope = graph_bytes(objective, chosen.batch, rung, chosen.num_bytes)
    checks = {kind: _said(kind, finding, chosen) for kind, finding in chosen.findings.items()}
    if chosen.not_compared:
        checks = dict.fromkeys(KINDS, f"not compared with differences: {chosen.not_compared}")
    return Plan(rung, None, wrong, note, checks, fixed, slope)


def make_plan_together(objective: Objective, check: bool, ranks: Alone) -> Plan:
    """The plan where weights are cut up between ranks: tried on a whole network, if there is room.

    Blocks of vectors are not differentiated by PyTorch through weights that are gathered.
    """
    network = objective.network
    room = min(ranks.gather(free_memory(network.device)))
    room //= ranks.size if network.device.type == "cpu" else 1  # they may share one machine
    if network.num_parameters * COPY_BYTES > room:
        said = "not compared with differences: no memory for the whole network on one rank"
        return Plan(note="weights gathered layer by layer", checks=dict.fromkeys(KINDS, said))
    objective = objective.made_whole()
    with ranks.step():
        return replace(make_plan(objective, check), block=1)


def united(mine: Plan | None, plans: list[Plan | None]) -> Plan:
    """This rank's plan, or another's where it has no batches, with what any rank refuses."""
    found = [plan for plan in plans if plan is not None]
    worst = max(found, key=lambda plan: (len(plan.wrong), RUNGS.index(plan.rung)))
    return replace(mine or worst, rung=worst.rung, wrong=worst.wrong, checks=worst.checks)


def _refusals(objective: Objective, chosen: Attempt) -> dict[str, str]:
    if not chosen.faults:
        return {}
    place = blame(objective.network, objective.data, chosen.batch)
    place = f" in {place}" if place else ""
    advice = (
        "Write it in functions that PyTorch differentiates twice (a custom backward marked "
        "once_differentiable, or made under torch.no_grad(), is not)"
    )
    if "first" in chosen.faults and "first" not in chosen.errors:
        off = chosen.findings["first"].off
        said = (
            f"autograd's gradient is not the derivative of the loss{place}: differences contradict "
            "it by "
            f"{off:.2g} of its size. Something cuts the graph (torch.no_grad(), .detach(), a "
            "reentrant "
            "checkpoint, a backward of its own): remove it, leave the parameters before it out of "
            "parameters=…, or pass check=False to compute what autograd makes of it"
        )
        return dict.fromkeys(KINDS, said)
    wrong = {}
    for kind in chosen.faults:
        if kind in chosen.errors:
            said = first_line(chosen.errors[kind])
            wrong[kind] = f"{KINDS[kind]} cannot be computed{place}: {said}. {advice}"
        else:
            off = chosen.findings[kind].off
            wrong[kind] = (
                f"{KINDS[kind]} is wrong{place}: differences contradict it by {off:.2g} of its "
                "size. "
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
    return (
        f"not decided by differences ({dtype}): a kink lies between them, or it is too small "
        "beside rounding"
    )
