import numpy as np
import pytest
import torch

from hspec.linalg import deflate, eigenpairs_from, identity, lanczos, recurrence
from hspec.linalg.operator import LinearOperator
from hspec.linalg.scalars import INVARIANT

SPECTRA = {
    "geometric": 0.8 ** np.arange(120.0),
    "clustered": np.r_[np.full(60, 1.0), np.full(60, 2.0)],
    "rank-deficient": np.r_[np.arange(1.0, 11), np.zeros(110)],
    "indefinite": np.linspace(-1, 2, 120),
    "outliers": np.r_[100.0, 50.0, 20.0, np.linspace(-0.1, 1, 117)],
    "identity": np.ones(30),
    "zero": np.zeros(30),
    "one dimension": [3.0],
    "two dimensions": [1.0, -2.0],
}
SCALE = {torch.float32: 1e-5, torch.float64: 1e-13}


def relation_error(A, result):
    """‖A V − V T − r e_mᵀ‖ and ‖VᵀV − I‖, in float64."""
    V, T = result.V.double(), torch.from_numpy(result.T)
    R = A.double() @ V - V @ T
    R[:, -1] -= result.residual.double()
    return float(R.norm()), float((V.T @ V - torch.eye(V.shape[1], dtype=torch.float64)).norm())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", SPECTRA)
def test_the_lanczos_relation_holds_to_rounding(name, dtype, prescribed, normal):
    A = prescribed(SPECTRA[name], dtype)
    p = len(A)
    result = lanczos(A, normal(p).to(dtype), min(60, p))
    relation, orthogonality = relation_error(A, result)
    norm = np.abs(SPECTRA[name]).max()
    assert relation <= SCALE[dtype] * max(1.0, norm)
    assert orthogonality <= SCALE[dtype]
    assert result.alphas.dtype == np.float64
    assert abs(result.residual.double().norm() - result.residual_norm) <= SCALE[dtype]


@pytest.mark.parametrize(
    ("name", "steps"), [("identity", 1), ("zero", 1), ("rank-deficient", 11), ("two dimensions", 2)]
)
@pytest.mark.parametrize("seed", range(5))
def test_stops_at_an_invariant_subspace(name, steps, seed, prescribed, normal):
    values = np.asarray(SPECTRA[name])
    start = normal(len(values), seed=seed)
    result = lanczos(torch.diag(torch.from_numpy(values)), start, min(20, len(values)))
    assert len(result.alphas) == steps
    estimate = 3 * np.abs(values).max()  # of ‖T‖ at most, by the recurrence
    assert result.residual_norm <= INVARIANT[torch.float64] * estimate
    assert np.allclose(np.sort(result.ritz()[0]), np.unique(values), atol=1e-12)


def test_the_zero_operator_has_one_node_of_weight_one(normal):
    theta, first, _ = lanczos(0.0 * identity(5), normal(5), 4).ritz()
    assert np.array_equal(theta, [0.0]) and np.array_equal(first**2, [1.0])


def test_ghosts_without_reorthogonalisation_and_none_with(prescribed, normal):
    """One simple outlier, counted."""
    A = prescribed(SPECTRA["outliers"], torch.float32)
    v = normal(120).float()

    def copies(kind):
        return int(
            (np.abs(lanczos(A, v, 100, reorthogonalize=kind).ritz()[0] - 100.0) < 1e-2).sum()
        )

    assert copies("none") > 3
    assert copies("full") == copies("partial") == 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", ["outliers", "geometric", "indefinite"])
def test_partial_reorthogonalisation_finds_the_same_eigenvalues(name, dtype, prescribed, normal):
    A = prescribed(SPECTRA[name], dtype)
    v = normal(120).to(dtype)
    full, partial = (lanczos(A, v, 50, reorthogonalize=kind) for kind in ("full", "partial"))
    norm = np.abs(SPECTRA[name]).max()
    assert np.allclose(
        full.ritz()[0][-5:], partial.ritz()[0][-5:], rtol=0, atol=10 * SCALE[dtype] * norm
    )
    _, orthogonality = relation_error(A, partial)
    assert orthogonality < 100 * torch.finfo(dtype).eps ** 0.5


@pytest.mark.parametrize("bulk", [1e-2, 1e-3, 1e-4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_partial_reorthogonalisation_keeps_a_narrow_bulk_orthogonal(
    dtype, bulk, prescribed, normal
):
    """The products' rounding is relative to the outliers, not to β."""
    A = prescribed(np.r_[np.geomspace(1, 0.1, 10), bulk * np.linspace(-1, 1, 590)], dtype)
    result = lanczos(A, normal(600).to(dtype), 150, reorthogonalize="partial")
    assert relation_error(A, result)[1] < 10 * torch.finfo(dtype).eps ** 0.5


def test_the_basis_has_the_vectors_that_partial_reorthogonalisation_has_projected(
    prescribed, normal
):
    """With those from before, the relation and VᵀV = I were off by ten times as much."""
    values = np.r_[np.geomspace(1, 0.1, 10), 0.06 * 10.0 ** np.linspace(-5, 0, 590)]
    A = prescribed(values)
    starts = [normal(600, seed=seed) for seed in range(5)]
    runs = [lanczos(A, v, 90, reorthogonalize="partial") for v in starts]
    assert (np.median([relation_error(A, run) for run in runs], axis=0) < 5e-10).all()


def test_partial_reorthogonalisation_works_less(monkeypatch, prescribed, normal):
    """Rows of the basis that are read, twice a pass: outliers are made of the first ones."""
    from hspec.linalg import reorthogonalization

    rows, original = [], reorthogonalization.project_out

    def counted(X, V, *rest):
        rows.append(V.shape[1])
        return original(X, V, *rest)

    monkeypatch.setattr(reorthogonalization, "project_out", counted)
    A = prescribed(SPECTRA["outliers"])
    lanczos(A, normal(120), 60)
    full = sum(rows)
    lanczos(A, normal(120), 60, reorthogonalize="partial")
    assert 0 < sum(rows) - full < full / 6


class Noisy(LinearOperator):
    """A diagonal matrix whose products err by a share of ‖A‖, otherwise each time."""

    def __init__(self, values, share, dtype):
        super().__init__(len(values), dtype, "cpu", "noisy")
        self.values = torch.as_tensor(values).to(dtype)
        self.size = share * float(self.values.abs().max()) / len(values) ** 0.5
        self.generator = torch.Generator().manual_seed(7)

    def _matmat(self, X):
        noise = torch.randn(X.shape, generator=self.generator, dtype=X.dtype)
        return self.values[:, None] * X + self.size * X.norm(dim=0) * noise


@pytest.mark.parametrize("bulk", [1e-1, 1e-2, 1e-3])
@pytest.mark.parametrize(
    ("dtype", "share"), [(torch.float32, 1e-7), (torch.float32, 1e-6), (torch.float64, 1e-13)]
)
def test_partial_reorthogonalisation_measures_the_rounding_of_products(dtype, share, bulk, normal):
    values = np.r_[np.geomspace(1, 0.1, 10), bulk * np.linspace(-1, 1, 590)]
    A = Noisy(values, share, dtype)
    V = lanczos(A, normal(600).to(dtype), 110, reorthogonalize="partial").V.double()
    off = (V.T @ V - torch.eye(110, dtype=torch.float64)).abs().max()
    assert off < torch.finfo(dtype).eps ** 0.5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_bfloat16_basis_keeps_the_top_eigenvalues(dtype, prescribed, normal):
    values = np.r_[np.geomspace(1, 0.1, 10), np.linspace(-0.01, 0.05, 790)]
    result = lanczos(
        prescribed(values, dtype), normal(800).to(dtype), 60, basis_dtype=torch.bfloat16
    )
    assert result.V.dtype == torch.bfloat16
    assert np.allclose(result.ritz()[0][::-1][:10], values[:10], rtol=0, atol=1e-4)
    assert (result.ritz()[0] > 0.06).sum() == 10  # no ghosts


def test_a_float64_basis_over_float32_products_is_orthonormal_to_float64(prescribed, normal):
    A = prescribed(SPECTRA["outliers"], torch.float32)
    _, orthogonality = relation_error(
        A, lanczos(A, normal(120).float(), 60, basis_dtype=torch.float64)
    )
    assert orthogonality < 1e-13


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_deflated_operator_is_run_in_what_is_left(dtype, prescribed, normal):
    A, Q = prescribed(SPECTRA["outliers"], dtype), torch.eye(120, dtype=dtype)[:, :3]
    v, P = normal(120).to(dtype), torch.eye(120, dtype=dtype)
    P[:3] = 0.0
    result = lanczos(deflate(A, Q), v, 40)
    assert relation_error(P @ A @ P, result)[0] < 300 * SCALE[dtype]
    assert result.V[:3].abs().max() < SCALE[dtype]
    assert torch.allclose(result.V[:, 0], P @ v / (P @ v).norm(), atol=SCALE[dtype])
    with pytest.raises(ValueError, match="lies in what was deflated"):
        lanczos(deflate(A, Q), Q[:, 1], 4)


@pytest.mark.parametrize("which", ["largest", "smallest", "both"])
def test_eigenpairs_of_a_kept_basis_have_the_residuals_they_state(which, prescribed, normal):
    A = prescribed(SPECTRA["outliers"])
    pairs = eigenpairs_from(lanczos(A, normal(120), 40), 3, which)
    actual = (A @ pairs.vectors - pairs.vectors * torch.from_numpy(pairs.values)).norm(dim=0)
    assert np.allclose(actual.numpy(), pairs.residuals, rtol=0, atol=1e-11)
    assert (np.diff(pairs.values) <= 0).all()
    if which != "smallest":
        assert np.allclose(pairs.values[:3], [100.0, 50.0, 20.0], atol=1e-10)


def test_eigenpairs_refuses_more_than_there_are(normal):
    result = lanczos(torch.diag(torch.arange(9.0, dtype=torch.float64)), normal(9), 4)
    with pytest.raises(ValueError, match="5 eigenpairs asked of 4 Lanczos steps"):
        eigenpairs_from(result, 5)
    with pytest.raises(ValueError, match='which is "largest"'):
        eigenpairs_from(result, 1, "top")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"v": torch.zeros(4, dtype=torch.float64)}, "start vector is zero"),
        (
            {"v": torch.full((4,), float("nan"), dtype=torch.float64)},
            "start vector has entries that are not finite",
        ),
        ({"v": torch.ones(3, dtype=torch.float64)}, r"shape \(4,\); got \(3,\)"),
        ({"v": torch.ones(4)}, "float64 and was started from a tensor of torch.float32"),
        ({"v": [1.0]}, "got list"),
        ({"num_steps": 5}, "5 Lanczos steps asked of dimension p = 4"),
        ({"num_steps": 0}, "number of Lanczos steps is a whole number of at least 1; got 0"),
        ({"num_steps": 2.5}, "whole number of at least 1; got 2.5"),
        ({"check": "copies"}, "guards that stay on, out of symmetry; got 'copies'"),
        ({"reorthogonalize": "twice"}, '"full", "partial" or "none"'),
        ({"basis_dtype": torch.float16}, "basis_dtype is"),
    ],
)
def test_refusals(change, message):
    arguments = {"v": torch.ones(4, dtype=torch.float64), "num_steps": 2} | change
    with pytest.raises(ValueError, match=message):
        lanczos(torch.diag(torch.arange(4.0, dtype=torch.float64)), **arguments)


def test_refuses_an_operator_that_is_not_symmetric(normal, wrapped):
    M = normal(50, 50)
    with pytest.raises(
        ValueError,
        match=r"user's matrix is not symmetric: u·Av and v·Au differ by .*made twice is the same",
    ):
        lanczos(wrapped(50, lambda X: M @ X), normal(50), 10)
    assert len(lanczos(wrapped(50, lambda X: M @ X), normal(50), 10, check=False).alphas) == 10


def test_refuses_a_matrix_that_changes_between_products(normal, wrapped):
    scale = iter(np.linspace(1, 2, 50))
    D = torch.arange(50.0, dtype=torch.float64)[:, None]
    with pytest.raises(
        ValueError, match="changes between two products: the same vector multiplied twice"
    ):
        lanczos(wrapped(50, lambda X: next(scale) * D * X), normal(50), 10)


@pytest.mark.parametrize("wrap", [lambda A: A, lambda A: 2.0 * A + 0.1, lambda A: A.named("Hess")])
def test_an_operator_may_say_why_it_is_not_symmetric(wrap, normal, wrapped):
    class Talking(wrapped):
        def diagnosis(self):
            return "Its second derivative is wrong."

    M = normal(50, 50)
    with pytest.raises(ValueError, match=r"is not symmetric: .* Its second derivative is wrong.$"):
        lanczos(wrap(Talking(50, lambda X: M @ X)), normal(50), 10)


def test_refuses_products_that_are_not_finite(normal, wrapped):
    with pytest.raises(FloatingPointError, match="user's matrix @ v is not finite by step 1"):
        lanczos(wrapped(5, lambda X: X / 0.0), normal(5), 3)


def test_the_callback_sees_every_step(prescribed, normal):
    seen = []
    lanczos(
        prescribed(SPECTRA["indefinite"]), normal(120), 5, callback=lambda *step: seen.append(step)
    )
    assert seen == [(i, 5) for i in range(1, 6)]


def test_one_product_a_step(normal, wrapped):
    products = []
    D = torch.arange(50.0, dtype=torch.float64)[:, None]
    lanczos(wrapped(50, lambda X: products.append(X.shape[1]) or D * X), normal(50), 10)
    assert products == [1] * 10


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", ["outliers", "rank-deficient", "zero"])
@pytest.mark.parametrize("kind", ["full", "partial"])
def test_cuda_agrees_with_float64_on_the_cpu(name, kind, prescribed, normal):
    A, v = prescribed(SPECTRA[name]), normal(len(SPECTRA[name]))
    m = min(30, len(v))
    reference = lanczos(A, v, m).ritz()[0]
    result = lanczos(A.float().cuda(), v.float().cuda(), m, reorthogonalize=kind)
    assert result.V.device.type == "cuda"
    k = min(3, len(reference))
    assert np.allclose(
        result.ritz()[0][-k:], reference[-k:], rtol=0, atol=1e-4 * max(1.0, abs(reference[-1]))
    )


class _OnMeta(LinearOperator):
    """A matrix without values: the steps take a GPU's branches, and reading a value raises."""

    def __init__(self, p):
        super().__init__(p, torch.float32, "meta", "M")

    def _matmat(self, X):
        return torch.empty_like(X)


@pytest.mark.parametrize("num_probes", [1, 3])
@pytest.mark.parametrize("kind", ["full", "none"])
def test_steps_read_no_value_off_the_cpu(kind, num_probes, monkeypatch):
    """On a GPU that would stop the stream; what comes before the first step may."""
    monkeypatch.setattr(recurrence, "_check_arguments", lambda *arguments: None)
    starts = torch.empty(num_probes, 50, device="meta")
    run = recurrence.Recurrence(_OnMeta(50), starts, 7, reorthogonalize=kind)
    for _ in range(7):
        run._advance()
    assert run.scalars.step == 7
    assert run.scalars.betas.device == run.scalars.alive.device == run.q.device == starts.device
    with pytest.raises((RuntimeError, NotImplementedError)):
        bool(run.scalars.alive.any())
