"""Residual nets: ResNet18 in both its forms, and the small ones for CIFAR,
of 20 to 56 layers."""

import math

from torch import Tensor, nn
from torch.nn import functional

from hspec.models.layers import Shape


class BasicBlock(nn.Module):
    """Two 3×3 convolutions beside a shortcut, named as in torchvision,
    so that its weights load."""

    def __init__(self, shape: Shape, inputs: int, outputs: int, stride: int, shortcut: str):
        super().__init__()
        self.conv1 = shape.conv(inputs, outputs, 3, stride)
        self.bn1 = shape.norm2d(outputs)
        self.conv2 = shape.conv(outputs, outputs, 3)
        self.bn2 = shape.norm2d(outputs)
        self.activate = shape.activate()
        if stride == 1 and inputs == outputs:
            self.downsample = nn.Identity()
        elif shortcut == "pad":
            self.downsample = PaddedShortcut(stride, outputs - inputs)
        else:
            self.downsample = nn.Sequential(
                shape.conv(inputs, outputs, 1, stride), shape.norm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        branch = self.bn2(self.conv2(self.activate(self.bn1(self.conv1(x)))))
        return self.activate(branch + self.downsample(x))


class PaddedShortcut(nn.Module):
    """The shortcut without parameters: every stride-th pixel, and zero channels, half before and
    half after.

    Where their number is odd, the larger half comes after.
    """

    def __init__(self, stride: int, new_channels: int):
        super().__init__()
        self.stride = stride
        self.before, self.after = new_channels // 2, new_channels - new_channels // 2

    def forward(self, x: Tensor) -> Tensor:
        kept = x[:, :, :: self.stride, :: self.stride]
        return functional.pad(kept, (0, 0, 0, 0, self.before, self.after))


class ResNet(nn.Module):
    """Stem, stages of basic blocks, global average, linear output.

    stages: channels of each stage at full width; depth: blocks in each stage; stem: "cifar" (3×3
    convolution) or "imagenet" (7×7 of stride 2, max-pool); shortcut: "project" or "pad" where the
    shape changes.

    Without a norm the last convolution of each of the B residual branches starts smaller by 1/√B,
    so that the forward signal grows by a constant factor, not exponentially, with depth: (1 +
    1/B)^B < e. Such a net trains,
    at about a tenth of the learning rate: ResNet-32 at half width reaches zero training error on
    1,000 digits in 30 epochs at 0.005 and mini-batches of 32 (with the norm: 0.05 and 128), and
    stalls at 0.01 and 128.
    """

    def __init__(self, shape: Shape, stages: tuple[int, ...], depth: int, stem: str, shortcut: str):
        super().__init__()
        channels = shape.channels(stages[0])
        if stem == "imagenet":
            self.conv1 = shape.conv(shape.in_channels, channels, 7, 2)
            self.maxpool = nn.MaxPool2d(3, 2, 1)
        else:
            self.conv1 = shape.conv(shape.in_channels, channels, 3)
            self.maxpool = nn.Identity()
        self.bn1 = shape.norm2d(channels)
        self.activate = shape.activate()
        for number, full in enumerate(stages, start=1):
            stage, channels = _stage(
                shape, channels, shape.channels(full), depth, number > 1, shortcut
            )
            self.add_module(f"layer{number}", stage)
        self.num_stages = len(stages)
        self.fc = nn.Linear(channels, shape.num_classes)
        if shape.norm == "none":
            _scale_branches(self)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.activate(self.bn1(self.conv1(x))))
        for number in range(1, self.num_stages + 1):
            x = self.get_submodule(f"layer{number}")(x)
        return self.fc(x.mean((2, 3)))


def _stage(shape, inputs, outputs, depth, halve, shortcut):
    first = BasicBlock(shape, inputs, outputs, 2 if halve else 1, shortcut)
    others = [BasicBlock(shape, outputs, outputs, 1, shortcut) for _ in range(depth - 1)]
    return nn.Sequential(first, *others), outputs


def _scale_branches(net: ResNet) -> None:
    blocks = [m for m in net.modules() if isinstance(m, BasicBlock)]
    for block in blocks:
        block.conv2.init_scale = 1 / math.sqrt(len(blocks))


def resnet18(shape: Shape) -> ResNet:
    """ResNet18 for small images: 3×3 stem of stride 1, no max-pool.

    Source: P19, P20 (networks)
    """
    return ResNet(shape, (64, 128, 256, 512), 2, "cifar", "project")


def resnet18_imagenet(shape: Shape) -> ResNet:
    """ResNet18 in torchvision's form, with the same parameter names.

    Source: GKX19 (batch normalisation on ImageNet)
    """
    return ResNet(shape, (64, 128, 256, 512), 2, "imagenet", "project")


def resnet20(shape: Shape) -> ResNet:
    """ResNet-20 for CIFAR: three stages of three blocks; 269,722 parameters."""
    return _cifar_resnet(shape, 3)


def resnet32(shape: Shape) -> ResNet:
    """ResNet-32 for CIFAR: three stages of five blocks, shortcuts without parameters; 464,154
    parameters.

    Source: GKX19 ("460k parameters")
    """
    return _cifar_resnet(shape, 5)


def resnet44(shape: Shape) -> ResNet:
    """ResNet-44 for CIFAR: three stages of seven blocks; 658,586 parameters."""
    return _cifar_resnet(shape, 7)


def resnet56(shape: Shape) -> ResNet:
    """ResNet-56 for CIFAR: three stages of nine blocks; 853,018 parameters."""
    return _cifar_resnet(shape, 9)


def _cifar_resnet(shape: Shape, depth: int) -> ResNet:
    return ResNet(shape, (16, 32, 64), depth, "cifar", "pad")
