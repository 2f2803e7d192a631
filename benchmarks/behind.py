"""Where `hspec` is behind, and what a setting of its own wins: sentences beside the tables."""

from benchmarks.results import Results
from hspec.statistics import mean_and_error

FARTHER = 3.0  # times the error of the best peer, from which on it is said
KINDS = ("Hess", "G")


def slower_products(results: Results) -> list[str]:
    """Who is faster than `hspec` in a product, by the medians that count; "nobody" where so."""
    found = []
    for net, record in results.read("products").items():
        medians = {n: of["median"] for n, of in record["result"]["per_gradient"].items()}
        for kind in KINDS:
            ours = medians[f"{kind}: hspec"]
            peers = {n: m for n, m in medians.items() if n.startswith(f"{kind}: ")}
            found += [
                f"{name.partition(': ')[2]} on **{net}** ({kind}, {median:.2f} against {ours:.2f})"
                for name, median in peers.items()
                if median < ours and "hspec" not in name
            ]
    ahead = "; ".join(found) or "nobody"
    return [f"Faster than `hspec` in a product, by the median over the turns: {ahead}."]


def farther_products(results: Results) -> list[str]:
    """Nets on which a product of `hspec` over few examples, where no input of a ReLU crosses zero,
    is much farther from float64 than the best peer's.
    """
    found = []
    for net, record in results.read("rounding").items():
        few = record["result"]["few"]
        for kind in KINDS:
            errors = {n: e for n, e in few["relative_error"].items() if n.startswith(f"{kind}: ")}
            ours = errors.pop(f"{kind}: hspec")
            if not any(few["across_zero"].values()) and ours > FARTHER * min(errors.values()):
                found.append(f"**{net}** ({kind}, {ours / min(errors.values()):.0f} times as far)")
    named = ", ".join(found) or "no net"
    return [
        f"Over few examples `hspec` is more than {FARTHER:g} times as far from float64 as the best "
        f"peer on {named}."
    ]


def errors_over_all(results: Results) -> list[str]:
    """How far a product over all of a net's examples is from float64, the best peer's beside it."""
    said = []
    for net, record in results.read("rounding").items():
        sample = record["result"]["all"]
        for kind in KINDS:
            errors = {
                n: e for n, e in sample["relative_error"].items() if n.startswith(f"{kind}: ")
            }
            ours = errors.pop(f"{kind}: hspec")
            said.append(
                f"{kind} on **{net}**: {ours:.1e} by `hspec`, {min(errors.values()):.1e} by the "
                "best peer"
            )
    if not said:
        return []
    return [f"Errors against float64 over all examples: {'; '.join(said)}."]


def without_the_node(results: Results) -> list[str]:
    """What the prescribed node wins, where the same net was measured without it, too."""
    said = []
    accuracy = results.read("accuracy")
    for net, record in results.read("time_to_error").items():
        last = record["result"]["hspec"][-1]
        plain = accuracy.get(net, {}).get("result", {})
        steps, same = str(last["num_steps"]), record["result"]["num_parameters"]
        if not record["result"].get("settings") or plain.get("num_parameters") != same:
            continue
        errors = plain["errors"]["hspec"].get(steps)
        if last["num_probes"] != 1 or not errors:
            continue
        mean, error = mean_and_error([one["wasserstein"] for one in errors])
        said.append(
            f"Net **{net}**: with the prescribed node the error of one probe of {steps} steps is "
            f"{last['error']:.2g}, the mean of {len(last['errors'])} seeds; without it it was "
            f"{mean:.2g} ± {error:.1g}, of {len(errors)} seeds, when errors per product were "
            "measured."
        )
    return said
