"""Sentences beside the tables of the benchmarks say where hspec is behind."""

from types import SimpleNamespace

from benchmarks import behind


def results(**tasks):
    return SimpleNamespace(
        read=lambda task: {net: {"result": of} for net, of in tasks.get(task, {}).items()}
    )


def products(ours, theirs):
    names = ("Hess: hspec", "Hess: peer", "G: hspec", "G: peer")
    medians = dict(zip(names, (ours, theirs, 1.0, 2.0), strict=True))
    return {
        "per_gradient": {name: {"median": m} for name, m in medians.items()}
        | {"Hess: hspec, graphs rebuilt": {"median": 0.1}},
    }


def test_who_is_faster_is_named():
    (told,) = behind.slower_products(results(products={"a": products(1.0, 2.0)}))
    assert told.endswith("nobody.")
    (told,) = behind.slower_products(results(products={"a": products(2.1, 2.04)}))
    assert told.endswith("peer on **a** (Hess, 2.04 against 2.10).")


def rounding(ours, theirs, crossing=0):
    errors = {"Hess: hspec": ours, "Hess: peer": theirs, "G: hspec": 1e-7, "G: peer": 1e-7}
    few = {"relative_error": errors, "across_zero": {"PyTorch": 0, "hspec": crossing}}
    return results(rounding={"r": {"few": few}})


def test_who_is_nearer_is_named_where_no_input_of_a_relu_crosses_zero():
    assert behind.farther_products(rounding(2e-7, 1e-7))[0].endswith("best peer on no net.")
    assert "**r** (Hess, 12 times as far)" in behind.farther_products(rounding(6e-5, 5e-6))[0]
    assert behind.farther_products(rounding(6e-5, 5e-6, 1))[0].endswith("no net.")


def test_errors_over_all_examples_are_said_with_the_best_peers():
    errors = {"Hess: hspec": 2e-5, "Hess: a": 4e-6, "Hess: b": 1e-6, "G: hspec": 3e-7, "G: a": 1e-7}
    of_all = {"c": {"all": {"relative_error": errors}}}
    (told,) = behind.errors_over_all(results(rounding=of_all))
    assert "Hess on **c**: 2.0e-05 by `hspec`, 1.0e-06 by the best peer; G on **c**" in told
    assert behind.errors_over_all(results()) == []


def test_what_the_node_wins_is_said_of_the_same_net_alone():
    run = {"num_steps": 30, "num_probes": 1, "error": 1.1e-4, "errors": [1.1e-4] * 5}
    timed = {"hspec": [run], "settings": {"node": 0.0}, "num_parameters": 10}
    plain = {"num_parameters": 10, "errors": {"hspec": {"30": [{"wasserstein": 2e-4}] * 4}}}
    (told,) = behind.without_the_node(results(time_to_error={"a": timed}, accuracy={"a": plain}))
    assert "is 0.00011, the mean of 5 seeds; without it it was 0.0002" in told
    other = plain | {"num_parameters": 11}
    assert behind.without_the_node(results(time_to_error={"a": timed}, accuracy={"a": other})) == []
