"""What is measured: every task yields (key, result),
a result being a dict of plain numbers and lists.
"""

from benchmarks.tasks import (
    accuracy,
    class_means,
    gpu,
    growth,
    guards,
    memory,
    outliers,
    parallel,
    products,
    quadrature,
    rounding,
    sharded,
    sweeps,
    time_to_error,
)

TASKS = {
    "products": products.measure,
    "rounding": rounding.measure,
    "quadrature": quadrature.measure,
    "guards": guards.measure,
    "outliers": outliers.measure,
    "accuracy": accuracy.measure,
    "time_to_error": time_to_error.measure,
    "class_means": class_means.measure,
    "memory": memory.measure,
    "growth": growth.measure,
    "parallel": parallel.measure,
    "sharded": sharded.measure,
    "sweeps": sweeps.measure,
    "gpu": gpu.measure,
}
