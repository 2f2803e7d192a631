"""Population statistics: what train mode over the whole set as one batch would use."""

import copy

import pytest
import torch
from torch import nn

from hspec import models, training
from hspec.batch_norm import set_population_statistics
from hspec.data import ImageSet
from hspec.training.trainer import Trainer


@pytest.fixture
def net():
    settings = {"in_channels": 1, "num_classes": 3, "image_size": 8, "width": 1 / 4}
    return models.build("resnet32", generator=torch.Generator().manual_seed(0), **settings).double()


IMAGES = torch.randn(12, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def renew(model, images):
    set_population_statistics(model, lambda: [lambda: model(images)])


def test_eval_mode_equals_train_mode_on_the_whole_set(net):
    net.train()
    expected = net(IMAGES)
    modes = [m.training for m in net.modules()]
    renew(net, IMAGES)
    assert modes == [m.training for m in net.modules()]
    torch.testing.assert_close(net.eval()(IMAGES), expected, rtol=1e-12, atol=1e-12)


def test_statistics_are_constants_in_the_gradient(net):
    """One step of population training is one step of SGD on the eval-mode loss,
    statistics frozen.
    """
    images = ImageSet(IMAGES, torch.arange(12) % 3, 3, "toy", "train")
    renew(net.eval(), IMAGES)
    loss = nn.functional.cross_entropy(net(IMAGES), images.labels)
    gradients = torch.autograd.grad(loss, list(net.parameters()))
    recipe = training.Recipe(
        steps=1, batch_norm="population", batch_size=12, momentum=0, weight_decay=0, drops=()
    )
    trainer = Trainer(net, images, None, recipe)
    trainer.advance()
    assert trainer.history["step_loss"] == pytest.approx([loss.item()], rel=1e-12)
    for after, before, gradient in zip(
        trainer.model.parameters(), net.parameters(), gradients, strict=True
    ):
        torch.testing.assert_close(after, before - 0.05 * gradient, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize(("every", "fresh"), [(1, [1, 2, 3, 4]), (2, [2, 4])])
def test_statistics_follow_the_parameters_every_so_many_steps(net, every, fresh):
    images = ImageSet(IMAGES, torch.arange(12) % 3, 3, "toy", "train")
    recipe = training.Recipe(
        steps=4, batch_norm="population", batch_size=4, population_every=every, population_size=9
    )
    trainer = Trainer(net, images, None, recipe)
    found = []
    for step in range(1, 5):
        trainer.advance()
        fresh_model = copy.deepcopy(trainer.model)
        renew(fresh_model, IMAGES[:9])
        kept, recomputed = trainer.model.state_dict(), fresh_model.state_dict()
        if all(torch.equal(kept[name], recomputed[name]) for name in kept):
            found.append(step)
    assert found == fresh
