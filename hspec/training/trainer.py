"""The state of a training under way, and one update of it."""

import copy
import math
import warnings
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn import functional

from hspec.batch_norm import (
    batch_norm_layers,
    evaluation_mode,
    set_population_statistics,
    use_running_statistics,
)
from hspec.data import ImageSet
from hspec.training.order import epoch_batches
from hspec.training.recipe import FEW_FOR_BATCH_NORM, Recipe

_STEPS_BETWEEN_READINGS = 100  # of losses from a CUDA device: each reading waits for it


@contextmanager
def float32_in_full(*, deterministic: bool = False) -> Iterator[None]:
    """No TF32 in convolutions meanwhile: a GPU's default rounds their inputs to ten bits, and a net
    so trained is another one, without a word. Matrix products are in full by default.
    """
    cudnn = torch.backends.cudnn
    deterministic = deterministic or cudnn.deterministic
    with cudnn.flags(enabled=cudnn.enabled, deterministic=deterministic, allow_tf32=False):
        yield


class Diverged(RuntimeError):
    """The loss or a parameter is no longer finite."""


class Trainer:
    """A copy of a model with its optimiser, data and history; `step` updates have been made."""

    def __init__(
        self, model: nn.Module, train_set: ImageSet, test_set: ImageSet | None, recipe: Recipe
    ):
        self.model = copy.deepcopy(model)
        first = next(self.model.parameters())
        self.device, self.dtype = first.device, first.dtype
        self.train_set = train_set.to(self.device)
        self.test_set = test_set.to(self.device) if test_set is not None else None
        self.recipe = recipe
        self.step = 0
        self.total = recipe.total_steps(len(train_set))
        self.history: dict[str, list[float]] = defaultdict(list)
        self.optimiser = torch.optim.SGD(
            self.model.parameters(),
            lr=recipe.learning_rate,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
        )
        self._unread: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._epoch, self._batches = -1, ()
        self._check_output()
        self._check_last_batch()
        self._refresh_population()

    def _check_output(self) -> None:
        with torch.no_grad(), evaluation_mode(self.model):
            shape = tuple(self.model(self.train_set.images[:1].to(self.dtype)).shape)
        if shape != (1, self.train_set.num_classes):
            raise ValueError(
                f"the model maps one image to {shape}, expected (1, {self.train_set.num_classes})"
            )

    def _check_last_batch(self) -> None:
        """Warn where batch norm's running statistics would come from a handful of examples."""
        size = self.recipe.last_batch_size(len(self.train_set))
        uses_batches = self.recipe.batch_norm == "batch" and batch_norm_layers(self.model)
        if uses_batches and size < FEW_FOR_BATCH_NORM and self.total > 0:
            warnings.warn(
                f"the last mini-batch of each epoch has {size} examples: batch norm's statistics "
                "of so few "
                "spoil the running ones, and with them the net in eval mode. Let it join the one "
                "before: "
                f"Recipe(smallest_batch={FEW_FOR_BATCH_NORM}), or choose another batch_size",
                stacklevel=4,
            )

    def advance(self) -> None:
        """One update, and at the end of an epoch or of the run one evaluation."""
        indices = self._batch()
        x, y = self.train_set.images[indices].to(self.dtype), self.train_set.labels[indices]
        rate = self.recipe.rate_after(self.step, len(self.train_set))
        self.optimiser.param_groups[0]["lr"] = rate
        self.model.train()
        if self.recipe.batch_norm == "population":
            use_running_statistics(self.model)
        logits = self.model(x)
        loss = functional.cross_entropy(logits, y)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        self.step += 1
        self.history["learning_rate"].append(rate)
        self._unread.append((loss.detach(), (logits.argmax(1) != y).double().mean()))
        self._refresh_population()
        if self.device.type == "cpu" or len(self._unread) >= _STEPS_BETWEEN_READINGS:
            self.read_losses()
        if self.step == self.total or self.step % self._steps_per_epoch == 0:
            self._evaluate()

    @property
    def _steps_per_epoch(self) -> int:
        return self.recipe.steps_per_epoch(len(self.train_set))

    def _batch(self) -> torch.Tensor:
        epoch, place = divmod(self.step, self._steps_per_epoch)
        if epoch != self._epoch:
            size, seed = self.recipe.batch_size, self.recipe.seed
            self._batches = epoch_batches(
                len(self.train_set), self._steps_per_epoch, size, seed, epoch
            )
            self._epoch = epoch
        return self._batches[place].to(self.device)

    def _refresh_population(self) -> None:
        if self.recipe.batch_norm == "population" and self.step % self.recipe.population_every == 0:
            images = self.train_set.images[: self.recipe.population_size].to(self.dtype)
            set_population_statistics(self.model, lambda: [lambda: self.model(images)])

    def read_losses(self) -> None:
        """Move the losses since the last reading into the history;
        `Diverged` at the first not finite.
        """
        for loss, error in self._unread:
            if not math.isfinite(loss):
                raise self._diverged(f"the loss is {float(loss)}", len(self.history["step_loss"]))
            self.history["step_loss"].append(float(loss))
            self.history["step_error"].append(float(error))
        self._unread.clear()

    def _evaluate(self) -> None:
        self.read_losses()
        done = (self.step - 1) % self._steps_per_epoch + 1
        sizes = torch.tensor([len(batch) for batch in self._batches[:done]], dtype=torch.float64)
        self.history["epoch_step"].append(self.step)
        for name in ("loss", "error"):
            values = torch.tensor(self.history[f"step_{name}"][-done:], dtype=torch.float64)
            self.history[f"train_{name}"].append(float(values @ sizes / sizes.sum()))
        if self.test_set is not None:
            loss, error = evaluate(self.model, self.test_set)
            self.history["test_loss"].append(loss)
            self.history["test_error"].append(error)

    def check_finite(self) -> None:
        """Raise `Diverged` where a loss or a parameter is not finite:
        nothing of the kind is ever saved.
        """
        self.read_losses()
        for name, value in self.model.state_dict().items():
            if not torch.isfinite(value).all():
                raise self._diverged(f"{name} is not finite", self.step)

    def _diverged(self, fact: str, step: int) -> Diverged:
        rate = self.recipe.rate_after(step, len(self.train_set))
        return Diverged(
            f"{fact} after step {step} (learning rate {rate:g}): choose a smaller learning rate"
        )

    def state(self) -> dict:
        """All that the next update depends on."""
        random = {"cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            random["cuda"] = torch.cuda.get_rng_state(self.device)
        return {
            "step": self.step,
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "history": {k: torch.tensor(v, dtype=torch.float64) for k, v in self.history.items()},
            "random": random,
        }

    def restore(self, state: dict) -> None:
        self.step = state["step"]
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.history.update({k: v.tolist() for k, v in state["history"].items()})
        torch.set_rng_state(state["random"]["cpu"])
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(state["random"]["cuda"], self.device)


@torch.no_grad()
def evaluate(model: nn.Module, image_set: ImageSet, batch_size: int = 1024) -> tuple[float, float]:
    """Mean cross-entropy and share of wrong answers over a set, in eval mode;
    the mode is restored.

    Args:
        model: On any device, in any floating-point type.
        image_set: N images.
        batch_size: Images at once, which matters to nothing but memory.

    Example:
        >>> from hspec.data import load
        >>> digits = load("digits", per_class=5, image_size=8)
        >>> net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
        >>> _ = [nn.init.zeros_(weights) for weights in net.parameters()]
        >>> loss, error = evaluate(net, digits)  # all classes alike: log 10, and one in ten right
        >>> round(loss, 4), error
        (2.3026, 0.9)
    """
    first = next(model.parameters())
    loss, wrong = 0.0, 0
    with evaluation_mode(model), float32_in_full():
        for x, y in image_set.batches(batch_size):
            logits = model(x.to(first.device, first.dtype))
            y = y.to(first.device)
            loss += functional.cross_entropy(logits, y, reduction="sum").item()
            wrong += (logits.argmax(1) != y).sum().item()
    return loss / len(image_set), wrong / len(image_set)
