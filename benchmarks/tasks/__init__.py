"""What is measured: every task yields (key, result), a result being a dict of plain numbers and lists."""

from benchmarks.tasks import (
    accuracy,
    class_means,
    gpu,
    growth,
    guards,
    memory,
    outliers,
    products,
    quadrature,
)

TASKS = {
    "products": products.measure,
    "quadrature": quadrature.measure,
    "guards": guards.measure,
    "outliers": outliers.measure,
    "accuracy": accuracy.measure,
    "class_means": class_means.measure,
    "memory": memory.measure,
    "growth": growth.measure,
    "gpu": gpu.measure,
}
