"""What stays right when a risk is copied, pickled, shared by threads;
and what is left as it was.
"""

import copy
import io
import pickle
import threading

import pytest
import torch
from torch import nn

from hspec.curvature import A1, Risk, class_means, gauss_newton, hessian, residual
from hspec.curvature.contents import is_finite
from tests.cases.nets import keeping_its_features

EVERY = {
    "Hess": hessian,
    "G": gauss_newton,
    "H": residual,
    "A1": lambda risk: A1(class_means(risk)),
}


def make_risk(**options):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(20, 30), nn.Tanh(), nn.Linear(30, 10)).double()
    x, y = torch.randn(60, 20, dtype=torch.float64), torch.arange(60) % 10
    return Risk.from_module(net, [(x[:40], y[:40]), (x[40:], y[40:])], 10, **options)


@pytest.fixture(scope="module")
def used():
    """A risk that has made products, so that its graphs are kept."""
    risk = make_risk()
    hessian(risk) @ risk.theta
    assert risk.graphs.kept
    return risk


def saved(risk):
    file = io.BytesIO()
    torch.save(risk, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


COPIES = {
    "pickle": lambda risk: pickle.loads(pickle.dumps(risk)),
    "torch.save": saved,
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
}


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES.keys())
def test_a_used_risk_survives_being_copied(used, copied):
    other = copied(used)
    assert torch.equal(other.theta, used.theta)
    torch.testing.assert_close(other.gradient(), used.gradient(), rtol=0, atol=0)
    for operator in EVERY.values():
        torch.testing.assert_close(
            operator(other) @ other.theta, operator(used) @ used.theta, rtol=1e-13, atol=1e-15
        )


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES.keys())
def test_a_used_risk_whose_net_keeps_computed_tensors_survives_being_copied(copied):
    batches = [(torch.randn(6, 4, dtype=torch.float64), torch.arange(6) % 3)]
    risk = Risk.from_module(keeping_its_features().double(), batches, 3)
    v = risk.theta
    right = hessian(risk) @ v
    torch.testing.assert_close(hessian(copied(risk)) @ v, right, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("name", ["Hess", "G", "H"])
def test_an_operator_survives_pickle(used, name):
    A = EVERY[name](used)
    torch.testing.assert_close(pickle.loads(pickle.dumps(A)) @ used.theta, A @ used.theta)


def in_threads(*jobs):
    """Run the jobs at once; what they raise is raised here."""
    errors = []

    def guarded(job):
        try:
            job()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


@pytest.mark.parametrize("budget", [None, 0], ids=["kept", "rebuilt"])
def test_threads_that_share_a_risk_get_their_own_matrix(budget):
    risk = make_risk(memory_budget=budget)
    v, wrong = risk.theta, []
    operators = [operator(risk) for operator in (hessian, gauss_newton, residual)]
    right = [A @ v for A in operators]

    def job(A, expected):
        for _ in range(40):
            off = (A @ v - expected).norm() / expected.norm()
            if off > 1e-12:
                wrong.append((A.name, float(off)))

    in_threads(*(lambda A=A, e=e: job(A, e) for A, e in zip(operators, right, strict=True)))
    assert not wrong


def settings():
    library = torch.backends.cudnn
    attention = torch.backends.cuda.flash_sdp_enabled(), torch.backends.cuda.math_sdp_enabled()
    return torch.get_float32_matmul_precision(), library.allow_tf32, library.enabled, attention


def test_threads_of_different_precision_leave_the_process_as_it_was():
    before = settings()
    exact, fast = make_risk(dtype="float32"), make_risk(dtype="float32", precision="fast")
    seen = set()

    def job(risk, wanted):
        for _ in range(30):
            hessian(risk) @ risk.theta
            with risk.graphs.numerics:
                seen.add((wanted, torch.get_float32_matmul_precision() == "medium"))

    in_threads(*(lambda r=r, w=w: job(r, w) for r, w in ((exact, 0), (fast, 1), (exact, 0))))
    assert settings() == before
    assert (1, True) in seen and (1, False) not in seen


def test_settings_come_back_after_an_exception(used):
    class Stopped(Exception):
        pass

    def stop(_):
        raise Stopped

    before = settings()
    with pytest.raises(Stopped):
        used.graphs.sum(stop, (1,))
    assert settings() == before
    used.gradient()


class Counting(torch.utils.data.Dataset):
    def __init__(self):
        self.reads = 0

    def __len__(self):
        return 9

    def __getitem__(self, i):
        self.reads += 1
        return torch.full((4,), float(i)), i % 3


def test_a_loader_is_read_once_where_its_batches_fit():
    net, dataset = nn.Linear(4, 3), Counting()
    state = torch.get_rng_state()
    risk = Risk.from_module(net, torch.utils.data.DataLoader(dataset, 4, shuffle=True), 3)
    hessian(risk) @ risk.theta
    reads = dataset.reads
    for _ in range(5):
        hessian(risk) @ risk.theta
    assert dataset.reads == reads
    assert torch.equal(state, torch.get_rng_state())
    tight = Risk.from_module(
        net, torch.utils.data.DataLoader(dataset, 4, shuffle=True), 3, memory_budget=0
    )
    torch.testing.assert_close(hessian(tight) @ tight.theta, hessian(risk) @ risk.theta)
    assert torch.equal(state, torch.get_rng_state())


class Refilling:
    """A loader that fills the same two tensors anew for every batch."""

    def __init__(self, x, y, size):
        self.x, self.y, self.size = x, y, size

    def __iter__(self):
        x, y = torch.empty_like(self.x[: self.size]), torch.empty_like(self.y[: self.size])
        for i in range(0, len(self.x), self.size):
            x.copy_(self.x[i : i + self.size])
            y.copy_(self.y[i : i + self.size])
            yield x, y


@pytest.mark.parametrize("budget", [None, 200_000, 0])
def test_a_loader_may_fill_its_tensors_anew(budget):
    net = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    x, y = torch.randn(9, 4, dtype=torch.float64), torch.arange(9) % 3
    right = Risk.from_module(net, [(x, y)], 3)
    risk = Risk.from_module(net, Refilling(x, y, 3), 3, memory_budget=budget)
    for made in (hessian, gauss_newton, residual):
        torch.testing.assert_close(made(risk) @ risk.theta, made(right) @ risk.theta)
    torch.testing.assert_close(risk.loss(), right.loss())
    mean = A1(class_means(right))
    torch.testing.assert_close(A1(class_means(risk)) @ risk.theta, mean @ risk.theta)


class Doubling(nn.Module):
    """Writes into its input; as a module of its own, so that the layers are those of the net."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x.data.mul_(2) if len(x) == 1 else x.mul_(2))


def test_a_module_that_writes_into_its_input_is_given_copies():
    net = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    x, y = torch.randn(9, 4, dtype=torch.float64), torch.arange(9) % 3
    batches = [(x[:5].clone(), y[:5]), (x[5:].clone(), y[5:])]
    right = Risk.from_module(net, [(2 * x[:5], y[:5]), (2 * x[5:], y[5:])], 3)
    risk = Risk.from_module(Doubling(net), batches, 3)
    for made in (hessian, gauss_newton, residual, lambda risk: A1(class_means(risk))):
        torch.testing.assert_close(made(risk) @ risk.theta, made(right) @ risk.theta)
    assert risk.independent
    assert torch.equal(torch.cat([x for x, _ in batches]), x)


def test_a_forward_that_takes_its_labels_out_of_the_batch():
    def forward(module, batch):
        labels = batch.pop("labels")
        return module(batch["x"]), labels

    net = nn.Linear(4, 3).double()
    x, y = torch.randn(9, 4, dtype=torch.float64), torch.arange(9) % 3
    batches = [{"x": x, "labels": y}]
    risk = Risk.from_module(net, batches, forward=forward)
    torch.testing.assert_close(risk.loss(), Risk.from_module(net, [(x, y)], 3).loss())
    assert set(batches[0]) == {"x", "labels"}


def test_a_loss_that_writes_into_its_targets():
    def loss(outputs, targets):
        targets[targets == 255] = -100
        return nn.functional.cross_entropy(outputs, targets, reduction="sum")

    net = nn.Linear(4, 3).double()
    x, y = torch.randn(9, 4, dtype=torch.float64), torch.arange(9) % 3
    y[::4] = 255
    given = y.clone()
    Risk.from_module(net, [(x, y)], loss=loss, reduction="sum").gradient()
    assert torch.equal(y, given)


def test_a_list_of_batches_is_not_copied():
    x, y = torch.randn(6, 4), torch.arange(6) % 3
    risk = Risk.from_module(nn.Linear(4, 3), [(x, y)], 3)
    assert next(iter(risk.data)).content[0].data_ptr() == x.data_ptr()


def test_a_tensor_computed_before_the_forward_pass_is_refused():
    class Cached(nn.Module):
        def __init__(self):
            super().__init__()
            self.raw = nn.Parameter(torch.randn(3, 4))
            self.weight = self.raw.exp()

        def forward(self, x):
            return x @ self.weight.T

    with pytest.raises(ValueError, match=r"uses 'weight', computed from parameters .* in forward"):
        Risk.from_module(Cached(), [(torch.ones(3, 4), torch.arange(3))], 3)


@pytest.mark.parametrize("wrap", [nn.DataParallel, lambda net: torch.compile(net, backend="eager")])
def test_wrappers_are_looked_through(wrap):
    net = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    batches = [(torch.randn(6, 4, dtype=torch.float64), torch.arange(6) % 3)]
    plain, wrapped = Risk.from_module(net, batches, 3), Risk.from_module(wrap(net), batches, 3)
    assert list(wrapped.parameter_slices) == list(plain.parameter_slices)
    torch.testing.assert_close(hessian(wrapped) @ plain.theta, hessian(plain) @ plain.theta)
    chosen = Risk.from_module(wrap(net), batches, 3, parameters=list(net[2].parameters()))
    assert list(chosen.parameter_slices) == ["2.weight", "2.bias"]


def test_a_module_compiled_in_place():
    net = nn.Linear(4, 3)
    net.compile(backend="eager")
    risk = Risk.from_module(net, [(torch.ones(3, 4), torch.arange(3))], 3)
    assert (hessian(risk) @ risk.theta).isfinite().all()
    assert net._compiled_call_impl is not None


def test_scripted_modules_are_refused():
    for scripted in (
        torch.jit.script(nn.Linear(4, 3)),
        torch.jit.trace(nn.Linear(4, 3), torch.ones(1, 4)),
    ):
        with pytest.raises(TypeError, match=r"scripted or traced .* pass the nn.Module"):
            Risk.from_module(nn.Sequential(scripted), [(torch.ones(3, 4), torch.arange(3))], 3)


def test_sharded_modules_are_refused():
    class FullyShardedDataParallel(nn.Linear):
        pass

    with pytest.raises(
        ValueError, match=r"sharded by FullyShardedDataParallel.*pass the plain module"
    ):
        Risk.from_module(FullyShardedDataParallel(4, 3), [(torch.ones(3, 4), torch.arange(3))], 3)


PARAMETERS = {
    "0": ["0.weight", "0.bias"],
    "*.bias": ["0.bias", "2.bias"],
    "?.w*": ["0.weight", "2.weight"],
    ("2.weight", "*.bias"): ["0.bias", "2.weight", "2.bias"],
}


@pytest.mark.parametrize(("patterns", "names"), PARAMETERS.items())
def test_parameters_by_name_prefix_and_glob(patterns, names):
    net = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))
    risk = Risk.from_module(net, [(torch.ones(3, 4), torch.arange(3))], 3, parameters=patterns)
    assert list(risk.parameter_slices) == names


X, Y = torch.ones(3, 4), torch.arange(3)
ARGUMENTS = {
    "one pair": (
        lambda net: Risk.from_module(net, (X, Y), 3),
        r"put it in a list, batches=\[\(x, y\)\]",
    ),
    "a tensor": (lambda net: Risk.from_module(net, X, 3), "a sequence of batches is needed"),
    "nothing": (lambda net: Risk.from_module(net, None, 3), "a sequence of batches is needed"),
    "three parts": (
        lambda net: Risk.from_module(net, [(X, Y, Y)], 3),
        "batch 0 has 3 parts.*forward=",
    ),
    "a dict": (
        lambda net: Risk.from_module(net, [{"x": X, "y": Y}], 3),
        "batch 0 is dict.*forward=",
    ),
    "two inputs": (
        lambda net: Risk.from_module(net, [((X, X), Y)], 3),
        r"not a pair of tensors \(x, y\) but \(tuple, Tensor\).*forward=",
    ),
    "a lambda": (
        lambda net: Risk.from_module(lambda x: x, [(X, Y)], 3),
        "an nn.Module is needed, got function",
    ),
    "bytes": (
        lambda net: Risk.from_module(net, [(X.byte(), Y)], 3),
        r"must be converted, x.float\(\) / 255",
    ),
    "foreign parameters": (
        lambda net: Risk.from_module(
            net, [(X, Y)], 3, parameters=list(nn.Linear(4, 3).parameters())
        ),
        "no parameter of this module",
    ),
    "numbers for parameters": (
        lambda net: Risk.from_module(net, [(X, Y)], 3, parameters=3),
        "names, prefixes, globs or the module's own parameters; got int",
    ),
    "a word for a dtype": (
        lambda net: Risk.from_module(net, [(X, Y)], 3, dtype="float16"),
        "float32 or float64, not float16",
    ),
    "classes as text": (
        lambda net: Risk.from_module(net, [(X, Y)], "3"),
        "an integer of at least 2",
    ),
    "no outputs": (
        lambda net: Risk.from_module(net, [(X, Y)], 3, forward=lambda m, b: m(b[0])),
        r"a pair \(outputs, targets\) is needed",
    ),
}


@pytest.mark.parametrize(("call", "words"), ARGUMENTS.values(), ids=ARGUMENTS.keys())
def test_mistaken_arguments_get_one_sentence(call, words):
    with pytest.raises((ValueError, TypeError), match=words):
        call(nn.Linear(4, 3))


def test_arguments_of_neighbouring_types():
    np = pytest.importorskip("numpy")
    risk = Risk.from_module(nn.Linear(4, 3), [(X, Y)], np.int64(3), dtype="float64")
    assert (risk.dtype, risk.num_classes) == (torch.float64, 3)
    assert Risk.from_module(nn.Linear(4, 3), [(X, Y)]).num_classes == 3


class Later(nn.Module):
    """Writes into its input from its second call on, and its outputs do not show it."""

    def __init__(self):
        super().__init__()
        self.linear, self.calls = nn.Linear(4, 3), 0

    def forward(self, x):
        outputs = self.linear(x.clamp(min=0))
        self.calls += 1
        if self.calls > 1:
            x.clamp_(min=0)
        return outputs


def test_a_batch_stays_as_it_was_where_a_module_writes_into_it_from_its_second_call_on():
    x = torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    before = x.clone()
    risk = Risk.from_module(Later().double(), [(x, torch.arange(6) % 3)], num_classes=3)
    hessian(risk) @ torch.ones(risk.num_parameters, dtype=torch.float64)
    assert torch.equal(x, before)


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.bfloat16, torch.float64])
def test_numbers_that_are_not_finite_are_found_in_every_precision(dtype):
    numbers = torch.ones(9).to(dtype)
    assert is_finite(numbers)
    numbers[5] = float("nan")
    assert not is_finite(numbers)


def test_imaginary_parts_of_a_conjugate_are_numbers_like_others():
    """PyTorch changes their signs when they are read, and NumPy cannot read them."""
    z = torch.randn(6, 4, dtype=torch.complex128, generator=torch.Generator().manual_seed(0))
    x, y = torch.imag(z.conj()), torch.arange(6) % 3
    assert x.is_neg()
    net, v = nn.Linear(4, 3).double(), torch.ones(15, dtype=torch.float64)
    found, right = (
        hessian(Risk.from_module(net, [(inputs, y)])) @ v for inputs in (x, x.resolve_neg())
    )
    assert torch.equal(found, right)
