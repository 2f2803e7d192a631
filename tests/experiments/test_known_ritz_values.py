"""No Ritz value with a residual above a hundredth of itself is printed, drawn or divided by."""

import numpy as np
import pytest

from hspec.chapters.gradient_concentration.figures import gradient_shares
from hspec.chapters.gradient_concentration.verdict import findings
from hspec.experiments.film_quantities import rank_ratio
from hspec.experiments.store import Store
from hspec.experiments.training_spectrum import training_spectrum
from hspec.figures.film_tables import frame_table
from hspec.figures.films import film
from hspec.figures.nets import outlier_ratios
from hspec.figures.tables import table
from hspec.figures.training import ends
from hspec.words import counted

FRAMES = sorted(Store().published_records(training_spectrum), key=lambda frame: frame.step)


def loose(frame):
    return frame["top"][frame.top_residuals > 0.01 * np.abs(frame["top"])]


@pytest.fixture(scope="module")
def frames():
    """Of the nets that were trained here, in the mode of the training: one that came trained has no
    film.
    """
    ours = [frame for frame in FRAMES if frame.setting.weights is None]
    modes = {("batch", "batch"), ("none", "eval")}
    return [frame for frame in ours if (frame.setting.norm, frame.options["batch_norm"]) in modes]


@pytest.fixture(scope="module")
def unknown(frames):
    """Where the eleventh has not converged."""
    return [bool(np.isin(frame["top"][10], loose(frame))) for frame in frames]


def test_the_stored_films_have_some_that_did_not_converge(frames, unknown):
    """One of them is a negative "eleventh eigenvalue" of a net with one converged one."""
    start = next(frame for frame in frames if frame.step == 0)
    assert start["top"][10] < -30
    assert np.isfinite(start.top).sum() == 1
    assert all(len(loose(frame)) for frame in frames if frame.setting.norm == "batch")
    assert 0 < sum(unknown) < len(frames)


def test_frames_show_and_divide_by_none(frames, unknown):
    for frame, is_unknown in zip(frames, unknown, strict=True):
        assert not np.isin(loose(frame), frame.top).any()
        assert np.isnan(rank_ratio(frame.top, 11)) == is_unknown


def test_tables_have_a_dash_and_the_residual_that_is_the_reason(frames, unknown):
    numbers = frame_table({"net": frames})
    assert numbers["λ_11"].isna().tolist() == unknown
    assert numbers["λ_1/λ_11"].isna().tolist() == unknown
    reasons = numbers.iloc[:, -1]
    assert [residuals[1] > 0.01 for residuals in reasons] == unknown
    assert table(numbers).data.count(" – ") >= 3 * sum(unknown)


def test_the_gradients_share_is_told_where_it_is_known_and_compared_there(frames):
    """In a film that ends with frames at which it is not known."""
    film = [frame for frame in reversed(frames) if frame.setting.norm == "none"]
    known = [f.step for f in film if f.step and np.isfinite(f.top[9:11]).all()]
    told = findings({"with": film, "without": film}, {"with": film})
    assert f"step {known[-1]:,}, the last frame at which they are known: the top 10" in told[-1]
    assert f"Over the {counted(len(known), 'step')} at which it is known" in told[2]
    assert "found it, at 0 of them" in told[2]
    start = [frame for frame in frames if frame.step == 0]
    nowhere = findings({"with": start, "without": start}, {"with": start})
    assert "no step at which the share is known" in nowhere[2]
    assert "at none of 1 frame," in nowhere[-1]


def test_figures_draw_gaps(frames, unknown):
    drawn = outlier_ratios({"net": frames}).axes[0].get_lines()[0].get_ydata()
    assert np.isnan(drawn).tolist() == unknown
    below = film(frames).axes[1]
    heights = np.concatenate([line.get_ydata() for line in below.get_lines()])
    for frame in frames:
        assert not np.isin(loose(frame), heights).any()
    ends({"net": frames})
    known = sum(np.isfinite(frame.top[9:11]).all() for frame in frames)  # the cut behind the tenth
    drawn = gradient_shares({"net": frames})
    assert (drawn is None) == (known < 2)  # one point is no curve
