"""The figures and tables of P18-2, P18-3 and P18-5 show what their records hold."""

import numpy as np
import pytest

from hspec.chapters.class_means.figures import (
    collinearity_table,
    exact_knock_outs,
    knock_outs,
    outliers_and_means,
    part_table,
    survivor_table,
    yardstick_table,
)
from hspec.chapters.class_means.measure import class_structure, exact_knock_out
from hspec.chapters.outlier_ownership.figures import (
    eigenspace_overlap,
    eigenvalue_counts,
    energy_table,
    knocked_out,
    ownership_table,
    three_spectra,
)
from hspec.chapters.outlier_ownership.measure import ownership
from hspec.chapters.power_law.figures import half_table, law_fit_table, law_fits, log_spectra
from hspec.chapters.power_law.measure import known_law
from hspec.experiments import Experiment, Recipe, Setting, Store, load_or_run
from hspec.figures.style import COLOURS

SETTING = Setting(
    model="mlp:5",
    width=1.0,
    image_size=8,
    per_class=4,
    test_per_class=2,
    recipe=Recipe(epochs=15, batch_size=10),
)


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")

    def measured(measure, setting=SETTING, **options):
        store = Store(folder, folder / "none")
        return load_or_run(Experiment(measure, setting, options), store, progress=False)

    return measured


def drawn(figure):
    figure.canvas.draw()
    return figure


def lines(axis):
    return {line.get_label(): line for line in axis.get_lines()}


def test_three_spectra_share_one_axis(record):
    found = record(ownership, num_steps=30, num_probes=2)
    left, right = drawn(three_spectra(found)).axes
    assert {"Hess", "G", "H"} <= lines(left).keys()
    assert right.get_xlim()[1] == pytest.approx(3 * found["hess_top"][9], rel=0.2)
    assert lines(left)["G"].get_color() == COLOURS["G"]


def test_eigenvalue_counts_end_at_the_largest_eigenvalue(record):
    found = record(ownership, num_steps=30, num_probes=2)
    (axis,) = drawn(eigenvalue_counts(found)).axes
    t, count = lines(axis)["Hess"].get_data()
    assert count[t > found["hess_top"][0] * 1.01].max() < 1e-9
    between = (t > found["hess_top"][1] * 1.01) & (t < found["hess_top"][0] * 0.99)
    np.testing.assert_allclose(count[between], 1)


def test_overlap_knock_out_and_tables_of_ownership(record):
    found = record(ownership, num_steps=30, num_probes=2)
    _, heat, _ = drawn(eigenspace_overlap(found)).axes
    np.testing.assert_array_equal(heat.get_images()[0].get_array(), found["overlaps"])
    assert any("projected out" in name for name in lines(drawn(knocked_out(found)).axes[0]))
    assert len(ownership_table(found)) == 13
    energies = dict(energy_table(found).itertuples(index=False))
    assert float(energies["energy of H, ‖H‖_F²"]) > 0


def test_one_probe_is_drawn_without_a_band(record):
    found = record(ownership, num_steps=30, num_probes=1)
    assert not drawn(three_spectra(found)).axes[0].collections
    drawn(eigenvalue_counts(found))


def test_log_spectra_draw_nothing_below_the_floors(record):
    found = record(known_law, None, law="semicircle", dimension=300, num_steps=60)
    axis = drawn(log_spectra([found])).axes[0]
    shown = lines(axis)
    highest = max(shown[f"floor: {name}"].get_xdata()[0] for name in ("noise", "ε", "resolution"))
    assert shown["λ > 0"].get_xdata().min() >= 0.3 * highest  # each branch has its own third node
    assert shown["λ > 0"].get_xdata().min() > shown["floor: ε"].get_xdata()[0]


def test_law_fits_and_their_numbers(record):
    laws = [
        record(known_law, None, law=law, dimension=300, num_steps=60) for law in ("semicircle", "power law")
    ]
    assert len(drawn(law_fits(laws)).axes) == 4
    numbers = law_fit_table(laws)
    assert list(numbers["law"]) == ["power law", "semicircle"] * 4
    distance = numbers["KS distance"].astype(float)
    assert (distance[numbers["spectrum"].eq("control: " + numbers["law"])] < 0.1).all()
    assert len(half_table(laws)) == 4


def test_structure_figures_and_tables(record):
    found = record(class_structure, num_steps=30)
    left, right = drawn(outliers_and_means(found)).axes
    np.testing.assert_array_equal(lines(left)["A1"].get_ydata(), found["a1"][:13])
    assert len(right.patches) == 4 * 13
    rows = drawn(knock_outs(found)).axes
    assert [next(iter(lines(axis))) for axis in rows] == ["G", "G − A1", "G − A1 − A2", "G − A1 − A2 − B1"]
    assert len(part_table(found)) == len(collinearity_table(found)) == 10
    assert list(survivor_table(found)["matrix"]) == ["G − A1", "G − A1 − A2", "G − A1 − A2 − B1"]


def test_exact_spectra_are_drawn_beside_the_quadrature(record):
    found = record(exact_knock_out, sample_per_class=2, num_steps=30)
    left, right = drawn(exact_knock_outs(found)).axes
    assert lines(left)["G"].get_ydata()[0] == pytest.approx(found["exact"][0])
    assert {"exact", "quadrature"} <= lines(right).keys()
    values = dict(yardstick_table(found).itertuples(index=False))
    assert float(values["quadrature of G: relative error of λ_max"]) < 1e-4
