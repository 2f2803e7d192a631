"""What a module keeps from pass to pass, wherever it does: the parameters' share is not lost."""

import collections
import copy
import pickle
import types

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from hspec.curvature import Risk, hessian
from tests.curvature.test_nothing_is_lost import dense

GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(9, 6, generator=GENERATOR, dtype=torch.float64)
Y = torch.arange(9) % 3
BATCHES = [(X[:5], Y[:5]), (X[5:], Y[5:])]


class Net(nn.Module):
    """A matrix made of a weight that has another part in the outputs, too."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(2)
        self.first, self.last = nn.Linear(6, 4), nn.Linear(4, 3)
        self.w = nn.Parameter(torch.randn(4, 4))
        self.prepare()
        self.double()

    def prepare(self):
        pass

    def made(self):
        return torch.tanh(self.w @ self.w.T)

    def matrix(self, x):
        return self.made()

    def forward(self, x):
        h = torch.tanh(self.first(x) @ self.matrix(x))
        return self.last(h) + 0.1 * self.w.square().sum() * h[:, :3]


class InAnObject(Net):
    def prepare(self):
        self.kept = types.SimpleNamespace(value=None)

    def matrix(self, x):
        if self.kept.value is None:
            self.kept.value = self.made()
        return self.kept.value


class Slots:
    __slots__ = ("value",)

    def __init__(self):
        self.value = None


class InSlots(InAnObject):
    def prepare(self):
        self.kept = Slots()


class InAList(Net):
    def prepare(self):
        self.kept = []

    def matrix(self, x):
        if not self.kept:
            self.kept.append(self.made())
        return self.kept[0]


class InADeque(InAList):
    def prepare(self):
        self.kept = collections.deque(maxlen=3)


class InAMapping(Net):
    def prepare(self):
        self.kept = collections.OrderedDict()

    def matrix(self, x):
        if "key" not in self.kept:
            self.kept["key"] = self.made()
        return self.kept["key"]


class Nested(Net):
    def prepare(self):
        self.kept = {"layers": {}}

    def matrix(self, x):
        if 0 not in self.kept["layers"]:
            self.kept["layers"][0] = self.made(), "and more"
        return self.kept["layers"][0][0]


class BySize(Net):
    """One for each number of examples."""

    def prepare(self):
        self.kept = {}

    def matrix(self, x):
        if len(x) not in self.kept:
            self.kept[len(x)] = self.made()
        return self.kept[len(x)]


class Shared(Net):
    """A part fills what another reads."""

    def prepare(self):
        self.parts = nn.ModuleList([nn.Identity(), nn.Identity()])
        for part, kept in zip(self.parts, [{}] * 2, strict=True):
            part.kept = kept

    def matrix(self, x):
        fills, reads = self.parts
        if not fills.kept:
            fills.kept["key"] = self.made()
        return reads.kept["key"]


class InABuffer(Net):
    def prepare(self):
        self.register_buffer("kept", None, persistent=False)

    def matrix(self, x):
        if self.kept is None:
            self.kept = self.made()
        return self.kept


class Flagged(Net):
    def prepare(self):
        self.register_buffer("kept", torch.zeros(4, 4))
        self.is_ready = False

    def matrix(self, x):
        if not self.is_ready:
            self.kept, self.is_ready = self.made(), True
        return self.kept


class FlaggedByATensor(Net):
    def prepare(self):
        self.register_buffer("kept", torch.zeros(4, 4))
        self.register_buffer("is_old", torch.tensor(True))

    def matrix(self, x):
        if self.is_old:
            self.kept.copy_(self.made())
            self.is_old.fill_(False)
        return self.kept


class OfComplexNumbers(InAnObject):
    def made(self):
        return torch.complex(super().made(), self.w)

    def matrix(self, x):
        return super().matrix(x).abs().square()


class OfComplexNumbersAnew(OfComplexNumbers):
    def matrix(self, x):
        return self.made().abs().square()


class AmongConstants(InAList):
    """A buffer and a list of tables, which are left alone."""

    def prepare(self):
        super().prepare()
        self.register_buffer("scale", torch.full((4, 4), 2.0))
        self.tables, self.is_scaled = [torch.ones(4, 4).double()], True

    def matrix(self, x):
        scale = self.scale / 2 if self.is_scaled else self.scale
        return super().matrix(x) * scale * self.tables[0]


KEEPING = [
    *(InAnObject, InSlots, InAList, InADeque, InAMapping, Nested, BySize, Shared),
    *(InABuffer, Flagged, FlaggedByATensor, OfComplexNumbers, AmongConstants),
]


def used(net, mode):
    with mode():
        for x in (X, X[:5], X[5:]):
            net(x)


@pytest.mark.parametrize("mode", [None, torch.no_grad, torch.enable_grad])
@pytest.mark.parametrize("keeping", KEEPING)
def test_what_is_kept_is_made_anew_wherever_it_lies(keeping, mode, rel):
    anew = OfComplexNumbersAnew if keeping is OfComplexNumbers else Net
    expected = dense(anew(), lambda f, _: F.cross_entropy(f(X), Y))
    net = keeping()
    if mode is not None:
        used(net, mode)
    risk = Risk.from_module(net, BATCHES)
    for one in (risk, copy.deepcopy(risk), pickle.loads(pickle.dumps(risk))):
        assert rel(hessian(one).to_dense(), expected) < 1e-12
    assert all("agrees" in said for said in risk.checks.values())
    small = Risk.from_module(net, BATCHES, memory_budget=0)
    assert rel(hessian(small).to_dense(), expected) < 1e-12


class ByVersion(Net):
    """Of the parameters' count of writes, as PyTorch has it."""

    kept, version = None, -1

    def matrix(self, x):
        if self.version != self.w._version:
            self.kept, self.version = self.made(), self.w._version
        return self.kept


def test_what_is_kept_until_parameters_change(rel):
    expected = dense(Net(), lambda f, _: F.cross_entropy(f(X), Y))
    assert rel(hessian(Risk.from_module(ByVersion(), BATCHES)).to_dense(), expected) < 1e-12


class WithoutGraph(InABuffer):
    @torch.no_grad()
    def made(self):
        return super().made()


@pytest.mark.parametrize("mode", [None, torch.no_grad])
def test_what_is_kept_without_a_graph_is_refused(mode):
    net = WithoutGraph()
    if mode is not None:
        used(net, mode)
    with pytest.raises(ValueError, match="autograd's gradient is not the derivative of the loss"):
        hessian(Risk.from_module(net, BATCHES)).to_dense()


class Anchored(Net):
    """What the weight was once is a constant, on purpose."""

    anchor = None

    def matrix(self, x):
        if self.anchor is None:
            self.anchor = self.w.detach().clone()
        return self.w - self.anchor


def test_what_parameters_were_once_is_a_constant(rel):
    net = Anchored()
    net(X)
    with torch.no_grad():
        net.w.add_(0.3)
    expected = dense(net, lambda f, _: F.cross_entropy(f(X), Y))
    assert rel(hessian(Risk.from_module(net, BATCHES)).to_dense(), expected) < 1e-12


class Merged(Net):
    """Made by eval(), where no pass makes it again."""

    def train(self, mode=True):
        super().train(mode)
        self.register_buffer("merged", None if mode else self.made().detach(), persistent=False)
        return self

    def matrix(self, x):
        return self.made() if self.training else self.merged


def test_what_eval_has_merged_is_refused_and_the_remedies_are_right(rel):
    with pytest.raises(ValueError, match=r"keeps 'merged', which train\(\) or eval\(\) computes"):
        Risk.from_module(Merged().eval(), BATCHES)
    expected = dense(Net(), lambda f, _: F.cross_entropy(f(X), Y))
    assert rel(hessian(Risk.from_module(Merged().train(), BATCHES)).to_dense(), expected) < 1e-12
    frozen = Merged().eval()
    frozen.w.requires_grad_(False)
    assert Risk.from_module(frozen, BATCHES).num_parameters == 43


class Serving(Net):
    """Has no training mode, and a constant."""

    def prepare(self):
        self.register_buffer("scale", torch.full((4, 4), 2.0))

    def train(self, mode=True):
        if mode:
            raise RuntimeError("this net is for inference only")
        return super().train(mode)

    def matrix(self, x):
        return self.scale * self.made()


def test_a_net_that_has_no_other_mode(rel):
    net = Serving().eval()
    expected = dense(net, lambda f, _: F.cross_entropy(f(X), Y))
    assert rel(hessian(Risk.from_module(net, BATCHES)).to_dense(), expected) < 1e-12
