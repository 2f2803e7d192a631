"""A killed computation goes on to the same numbers; a stale or damaged memory is recognised."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from hspec.linalg import LinearOperator, aslinearoperator, eigsh, lanczos, remembered, slq
from hspec.linalg.recurrence import Recurrence


class Killed(Exception):
    pass


def kill_at(step):
    def callback(done, total=None):
        if done == step:
            raise Killed

    return callback


@pytest.fixture
def A(prescribed):
    return aslinearoperator(prescribed(np.r_[50.0, 20.0, np.linspace(-1, 1, 98)], torch.float32))


@pytest.fixture
def v(normal):
    return normal(100).float()


class Counted(LinearOperator):
    """A, and how many products were made."""

    def __init__(self, A):
        super().__init__(A.shape[0], A.dtype, A.device, A.name)
        self.A, self.columns = A, 0

    def _matmat(self, X):
        self.columns += X.shape[1]
        return self.A @ X


def products(function, A, *arguments, **settings):
    """The result, and the columns that were multiplied for it."""
    A = Counted(A)
    return function(A, *arguments, **settings), A.columns


# ---- the matrix with a memory


def test_any_computation_finds_its_products_again(A, v, tmp_path, normal):
    X = normal(100, 3).float()

    def computation(A):
        return [A @ v, A @ X, A @ (A @ v), (A + 0.0) @ v]

    first, made = products(lambda A: computation(remembered(A, tmp_path, every=1)), A)
    again, made_again = products(lambda A: computation(remembered(A, tmp_path, every=1)), A)
    assert made == 7 and made_again == 1  # the first, to see that it is the same matrix
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


def test_the_rest_is_written_by_flush_and_all_is_forgotten_on_request(A, v, tmp_path):
    operator = remembered(A, tmp_path, every=10)
    operator @ v
    assert not list(tmp_path.iterdir())
    operator.flush()
    assert [path.name for path in tmp_path.iterdir()] == ["products-000001.pt"]
    operator.flush()  # nothing new
    operator.forget()
    assert not list(tmp_path.iterdir())


def test_pieces_of_another_length_are_used_as_well(A, v, tmp_path):
    for every, steps in [(7, 20), (3, 25), (10, 30), (4, 30)]:
        found, made = products(lanczos, A, v, steps, checkpoint=tmp_path, checkpoint_every=every)
        assert np.array_equal(found.alphas, lanczos(A, v, steps).alphas)
        assert made <= {7: 20, 3: 6, 10: 6, 4: 1}[every]


def test_another_way_leaves_nothing_of_the_old_one_beyond_the_fork(A, v, tmp_path):
    lanczos(A, v, 30, checkpoint=tmp_path, checkpoint_every=5)
    operator = remembered(A, tmp_path, every=5)
    operator @ v  # not of length one, as the first Lanczos vector is
    assert not list(tmp_path.glob("*.pt"))
    operator.flush()
    assert [path.name for path in tmp_path.iterdir()] == ["products-000001.pt"]


@pytest.mark.parametrize("missing", [1, 2, 3])
def test_a_gap_ends_what_is_read(missing, A, v, tmp_path):
    whole = lanczos(A, v, 20, checkpoint=tmp_path, checkpoint_every=5)
    (tmp_path / f"products-{5 * missing:06d}.pt").unlink()
    found, made = products(lanczos, A, v, 20, checkpoint=tmp_path, checkpoint_every=5)
    assert made == 20 - 5 * (missing - 1) + (missing > 1)
    assert np.array_equal(found.alphas, whole.alphas) and torch.equal(found.V, whole.V)


def test_a_piece_takes_as_much_as_its_products(v, A, tmp_path):
    """Once a piece held the memory of the whole basis."""
    lanczos(A, v, 60, checkpoint=tmp_path)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 60 * 100 * 4 + 6 * 4000


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty"])
def test_a_damaged_piece_is_recognised_and_recomputed(damage, A, v, tmp_path):
    settings = {"checkpoint": tmp_path, "checkpoint_every": 5}
    whole = lanczos(A, v, 20, **settings)
    piece = tmp_path / "products-000015.pt"
    content = bytearray(piece.read_bytes())
    if damage == "flipped":
        position = content.find((A @ whole.V[:, 12]).numpy().tobytes()[:8])
        assert position > 0
        content[position + 3] ^= 0x40
    else:
        content = content[: {"truncated": len(content) // 2, "empty": 0}[damage]]
    piece.write_bytes(content)
    with pytest.warns(UserWarning, match=r"products-000015.pt is damaged .* is computed again"):
        result, made = products(lanczos, A, v, 20, **settings)
    assert made == 11 and np.array_equal(result.alphas, whole.alphas)
    assert products(lanczos, A, v, 20, **settings)[1] == 1  # and mended


def test_another_operator_or_matrix_is_refused(A, v, tmp_path, prescribed):
    lanczos(A, v, 10, checkpoint=tmp_path)
    with pytest.raises(ValueError, match=r"belongs to another run .*operator.* Delete"):
        lanczos(A.named("Hess"), v, 10, checkpoint=tmp_path)
    other = aslinearoperator(prescribed(np.linspace(0, 3, 100), torch.float32))
    with pytest.raises(ValueError, match="no longer the matrix whose products"):
        lanczos(other, v, 10, checkpoint=tmp_path)


@pytest.mark.parametrize("scale", [1e-25, 1.0, 1e25])
def test_a_slightly_shifted_matrix_is_another_one_at_every_scale(scale, prescribed, v, tmp_path):
    """A thousandth of λ_max on the diagonal: seen by a random vector,
    for most eigenvalues are small.
    """
    matrix = scale * prescribed(np.r_[50.0, np.linspace(-1, 1, 99)], torch.float32)
    lanczos(matrix, v, 10, checkpoint=tmp_path)
    with pytest.raises(ValueError, match="no longer the matrix"):
        lanczos(matrix + 0.05 * scale * torch.eye(100), v, 10, checkpoint=tmp_path)


def test_a_full_disk_is_a_sentence_and_loses_nothing(A, v, tmp_path, monkeypatch):
    lanczos(A, v, 10, checkpoint=tmp_path, checkpoint_every=5)

    def full(path, write):
        raise OSError(28, "cannot be written", str(path))

    monkeypatch.setattr("hspec.linalg.checkpoint.write_whole", full)
    with pytest.raises(OSError, match="cannot be written"):
        lanczos(A, v, 20, checkpoint=tmp_path, checkpoint_every=5)
    monkeypatch.undo()
    assert products(lanczos, A, v, 20, checkpoint=tmp_path)[1] == 11


# ---- Lanczos


@pytest.mark.parametrize("basis_dtype", [None, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("kind", ["full", "partial", "none"])
def test_a_killed_run_goes_on_to_the_same_numbers(kind, basis_dtype, A, v, tmp_path):
    settings = {"reorthogonalize": kind, "basis_dtype": basis_dtype}
    whole = lanczos(A, v, 30, **settings)
    settings |= {"checkpoint": tmp_path / "run", "checkpoint_every": 4}
    for step in (3, 11, 23):
        with pytest.raises(Killed):
            lanczos(A, v, 30, callback=kill_at(step), **settings)
    resumed, made = products(lanczos, A, v, 30, **settings)
    assert made == 11  # 20 are on disk; and the first, again
    assert np.array_equal(resumed.alphas, whole.alphas)
    assert np.array_equal(resumed.betas, whole.betas)
    assert torch.equal(resumed.residual, whole.residual)
    assert kind == "none" or torch.equal(resumed.V, whole.V)


def test_more_steps_go_on_from_those_there_are(A, v, tmp_path):
    assert products(lanczos, A, v, 14, checkpoint=tmp_path)[1] == 14
    longer, made = products(lanczos, A, v, 30, checkpoint=tmp_path)
    assert made == 17 and np.array_equal(longer.alphas, lanczos(A, v, 30).alphas)


def test_an_interrupt_between_a_save_and_the_next_loses_only_those_steps(A, v, tmp_path):
    def interrupt(done, total):
        if done == 9:
            raise KeyboardInterrupt

    settings = {"checkpoint": tmp_path, "checkpoint_every": 4}
    with pytest.raises(KeyboardInterrupt):
        lanczos(A, v, 20, callback=interrupt, **settings)
    assert not list(tmp_path.glob(".*"))  # no half-written file
    assert products(lanczos, A, v, 20, **settings)[1] == 13


VICTIM = """
import os, signal, sys
import torch
from hspec.linalg import lanczos

def die(done, total):
    if done == 13:
        os.kill(os.getpid(), signal.SIGKILL)

lanczos(torch.diag(torch.linspace(-1, 2, 200)), torch.ones(200), 20, checkpoint=sys.argv[1],
        checkpoint_every=5,
        callback=die)
"""


def test_kill_9_loses_the_steps_since_the_last_save_only(tmp_path):
    outcome = subprocess.run([sys.executable, "-c", VICTIM, str(tmp_path)])
    assert outcome.returncode == -signal.SIGKILL
    matrix, v = aslinearoperator(torch.diag(torch.linspace(-1, 2, 200))), torch.ones(200)
    result, made = products(
        lanczos, matrix.named("A"), v, 20, checkpoint=tmp_path, checkpoint_every=5
    )
    assert made == 11
    assert np.allclose(result.alphas, lanczos(matrix, v, 20).alphas, rtol=0, atol=1e-6)


def test_refuses_to_save_never(A, v, tmp_path):
    with pytest.raises(ValueError, match="checkpoint_every is a whole number of at least 1; got 0"):
        lanczos(A, v, 10, checkpoint=tmp_path, checkpoint_every=0)


# ---- quadrature


def quadrature(A, **settings):
    return slq(A, 20, 3, generator=torch.Generator().manual_seed(3), **settings)


def same(a, b):
    other = b.to_arrays()
    return all(np.array_equal(value, other[name]) for name, value in a.to_arrays().items())


@pytest.mark.parametrize("block", [False, True])
def test_a_killed_quadrature_goes_on_to_the_same_numbers(block, A, tmp_path):
    whole = quadrature(A, block=block)
    settings = {"block": block, "checkpoint": tmp_path, "checkpoint_every": 3}
    for step in (9, 33):
        with pytest.raises(Killed):
            quadrature(A, callback=kill_at(step), **settings)
    assert same(quadrature(A, **settings), whole)
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in left) < 12_000  # finished probes keep no vector
    again, made = products(quadrature, A, **settings)
    assert same(again, whole) and made == 1


@pytest.mark.parametrize("kind", ["full", "partial"])
def test_a_killed_quadrature_goes_on_where_rounding_is_another(kind, A, tmp_path, monkeypatch):
    """On another machine, or with another number of ranks: every product is used all the same."""
    whole = quadrature(A, reorthogonalize=kind)
    settings = {"reorthogonalize": kind, "checkpoint": tmp_path, "checkpoint_every": 3}
    with pytest.raises(Killed):
        quadrature(A, callback=kill_at(15 * 3), **settings)
    exact = Recurrence._minus

    def otherwise(self, w, alpha):
        w = exact(self, w, alpha)
        return w.add_(w.roll(1, dims=1), alpha=1e-7)

    monkeypatch.setattr(Recurrence, "_minus", otherwise)
    found, made = products(quadrature, A, **settings)
    assert made == 3 * (20 - 15 + 1)
    assert found.moment(2) == pytest.approx(whole.moment(2), rel=1e-5)
    assert np.allclose(found.nodes, whole.nodes, atol=1e-4)
    assert not same(found, whole)


def test_a_kill_at_any_moment_of_clearing_up_costs_nothing(A, tmp_path, monkeypatch):
    """A finished probe's pieces are removed one by one: whatever is left of them,
    its scalars are there.
    """
    settings = {"block": False, "checkpoint": tmp_path / "run", "checkpoint_every": 3}
    whole = quadrature(A, **{**settings, "checkpoint": None})
    unlink, removed = Path.unlink, []

    def die(path, **options):
        if path.name.startswith("products-"):
            removed.append(path)
            if len(removed) == count:
                raise Killed
        unlink(path, **options)

    for count in range(1, 19):  # six pieces a probe
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        removed.clear()
        monkeypatch.setattr(Path, "unlink", die)
        with pytest.raises(Killed):
            quadrature(A, **settings)
        monkeypatch.undo()
        resumed, made = products(quadrature, A, **settings)
        assert same(resumed, whole) and made == 61 - 20 * (1 + (count - 1) // 6)
        assert not list(tmp_path.rglob("products-*"))


def test_a_finished_quadrature_of_another_matrix_or_setting_is_refused(A, tmp_path, prescribed):
    quadrature(A, checkpoint=tmp_path)
    with pytest.raises(ValueError, match=r"belongs to another run .*operator.* Delete"):
        quadrature(A.named("Hess"), checkpoint=tmp_path)
    with pytest.raises(ValueError, match=r"belongs to another run .*settings"):
        quadrature(A, checkpoint=tmp_path, reorthogonalize="full")
    with pytest.raises(ValueError, match=r"belongs to another run .*start"):
        slq(A, 20, 3, generator=torch.Generator().manual_seed(4), checkpoint=tmp_path)
    other = aslinearoperator(prescribed(np.linspace(0, 3, 100), torch.float32))
    with pytest.raises(ValueError, match="no longer the matrix whose run"):
        quadrature(other, checkpoint=tmp_path)


# ---- eigenpairs


def pairs_of(A, folder, **settings):
    """Three eigenpairs, and the products that they took."""
    generator = torch.Generator().manual_seed(0)
    return products(eigsh, A, 3, generator=generator, checkpoint=folder, **settings)


@pytest.mark.parametrize("block_size", [1, 2])
def test_a_killed_eigensolver_makes_the_missing_products_only(block_size, A, tmp_path):
    settings = {"max_basis": 12, "tol": 1e-4, "block_size": block_size}
    whole, made_whole = pairs_of(A, None, **settings)
    with pytest.raises(Killed):
        pairs_of(A, tmp_path, callback=kill_at(14 * block_size), **settings)
    resumed, made = pairs_of(A, tmp_path, **settings)
    assert made_whole > 14 * block_size and made == made_whole - 9 * block_size
    assert resumed.num_products == whole.num_products == made_whole
    assert np.array_equal(resumed.values, whole.values) and torch.equal(
        resumed.vectors, whole.vectors
    )
    assert pairs_of(A, tmp_path, **settings)[1] == block_size  # to test A


def test_a_sharper_tolerance_goes_on_from_the_products_there_are(A, tmp_path):
    """As far as the looser run did not look for copies: that is another way,
    and the sharper one's own.
    """
    _, made = pairs_of(A, tmp_path, tol=1e-2, check="symmetry")
    sharper, more = pairs_of(A, tmp_path, tol=1e-5)
    assert made >= 10 and more == sharper.num_products - made + 1


def test_other_vectors_find_no_products_and_leave_their_own(A, tmp_path):
    pairs_of(A, tmp_path)
    found, made = pairs_of(A, tmp_path, start=torch.ones(100))
    assert made == found.num_products >= 10
    assert pairs_of(A, tmp_path, start=torch.ones(100))[1] == 1
    assert np.array_equal(found.values, pairs_of(A, None, start=torch.ones(100))[0].values)


def test_products_of_another_matrix_are_refused(A, tmp_path, prescribed):
    pairs_of(A, tmp_path)
    with pytest.raises(ValueError, match=r"belongs to another run .*operator"):
        pairs_of(A.named("Hess"), tmp_path)
    other = aslinearoperator(prescribed(np.linspace(0, 3, 100), torch.float32))
    with pytest.raises(ValueError, match="no longer the matrix whose products"):
        pairs_of(other, tmp_path)
