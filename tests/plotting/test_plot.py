"""plot: what is drawn is the measure, with its bands, on any axes."""

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from hspec.linalg import SpectralMeasure, slq
from hspec.plotting import COLOURS, plot, probe_densities, probe_log_densities


@pytest.fixture(scope="module")
def measure():
    """Quadrature of a matrix with both signs and one outlier, three probes."""
    generator = torch.Generator().manual_seed(0)
    A = torch.randn(60, 60, dtype=torch.float64, generator=generator)
    A = A + A.T
    bulk = slq(A, 12, 3, generator=generator)
    return bulk.with_spikes([60.0])


def test_probes_densities_have_the_density_as_their_mean(measure):
    t = np.linspace(*measure.support, 50)
    assert np.allclose(
        probe_densities(measure, t, 0.5).mean(0), measure.density(t, 0.5), rtol=1e-12
    )
    x = np.linspace(-1, 2, 20)
    rows = probe_log_densities(measure, x, 1, 0.1)
    assert np.allclose(
        rows.mean(0), measure.log_density(x, 1, 0.1), rtol=1e-3
    )  # each probe has its ‖A‖


def test_a_linear_density_integrates_to_one_and_shows_every_spike(measure):
    axes = plot(measure, width=0.3)
    (line,) = axes.lines
    assert np.trapezoid(line.get_ydata(), line.get_xdata()) == pytest.approx(1, abs=2e-3)
    at = np.argmin(np.abs(line.get_xdata() - 60))
    one = 1 / (61 * 0.3 * np.sqrt(2 * np.pi))
    assert line.get_ydata()[at] == pytest.approx(one, rel=1e-6)
    assert axes.get_yscale() == "log" and len(axes.collections) == 1  # the band


def test_signed_logarithmic_branches_have_the_masses_of_their_signs(measure):
    axes = plot(measure, scale="log", label="mine")
    assert axes.get_xscale() == "symlog"
    for line in axes.lines:
        x, y = line.get_xdata(), line.get_ydata()
        negative = float(measure.cdf(np.nextafter(0.0, -1.0)))
        share = negative if x[0] < 0 else 1 - negative
        assert np.trapezoid(y, np.log10(np.abs(x))) == pytest.approx(share, abs=0.02)
    assert [t.get_text() for t in axes.get_legend().get_texts()] == ["mine (0% below 6e-04)"]


def test_counts_are_those_of_the_eigenvalues():
    values = np.array([-2.0, -1.0, 0.0, 0.5, 1.0, 3.0])
    axes = plot(SpectralMeasure.from_eigenvalues(values), scale="counts")
    above, below = axes.lines
    for line, beyond in ((above, values), (below, -values)):
        t = line.get_xdata()
        assert np.allclose(line.get_ydata(), (beyond[:, None] > t).sum(0))
    assert not axes.collections  # an exact spectrum has no band


def test_users_axes_colours_and_names(measure):
    mine = Figure().subplots()
    assert plot({"Hess": measure, "other": measure}, scale="counts", axes=mine) is mine
    assert mine.lines[0].get_color() == COLOURS["Hess"]
    assert [t.get_text() for t in mine.get_legend().get_texts()] == ["Hess", "other"]
    assert plot(measure, colour="#123456").lines[0].get_color() == "#123456"


@pytest.mark.parametrize("scale", ["linear", "log", "counts"])
@pytest.mark.parametrize(
    "values", [[0.0, 0.0], [2.0], [-3.0, -1.0]], ids=["zero", "one", "negative"]
)
def test_odd_spectra_are_drawn(scale, values):
    axes = plot(SpectralMeasure.from_eigenvalues(values), scale=scale, label="odd")
    axes.figure.canvas.draw()
    assert np.isfinite([axes.get_xlim(), axes.get_ylim()]).all()


def test_what_is_no_measure_is_refused(measure):
    with pytest.raises(
        ValueError, match="scale='cubic' is unknown: choose one of 'linear', 'log', 'counts'"
    ):
        plot(measure, scale="cubic")
    with pytest.raises(TypeError, match="from_eigenvalues"):
        plot([1.0, 2.0])
    with pytest.raises(ValueError, match="no measures"):
        plot({})
    with pytest.raises(ValueError, match="its keys are the labels"):
        plot({"Hess": measure}, label="mine")
