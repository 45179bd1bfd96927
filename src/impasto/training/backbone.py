"""Training of an encoder: classification, or distillation of a teacher's features and class scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from impasto.encoders.protocol import EncoderNet
from impasto.encoders.table import Encoder
from impasto.encoders.vgg import Vgg
from impasto.training.data import PictureBatch, placed

MATCHED = ("relu2_2", "relu3_3", "relu4_2", "relu5_1")
"""Layers of the student whose features are compared with the teacher's."""


def layer_pairs(student: EncoderNet, teacher: EncoderNet) -> dict[str, str]:
    """The teacher's layer for each of `MATCHED`.

    The layer of the same name in a VGG, in other networks the deepest one of the same stride: in SqueezeNet 1.0
    `conv1`, `fire4`, `fire8` and `fire9`. A layer without a counterpart is left out.
    """
    if teacher.stages is not None:
        return {name: name for name in MATCHED if name in teacher.layers}
    deepest = {teacher.stride(name): name for name in teacher.layers if name != teacher.score_layer}
    return {name: deepest[student.stride(name)] for name in MATCHED if student.stride(name) in deepest}


class Student(nn.Module):
    """The encoder with a 1×1 convolution for each teacher layer and a linear head for class scores."""

    def __init__(self, encoder: Vgg, *, widths: Mapping[str, int], classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.heads = nn.ModuleDict({name: nn.Conv2d(encoder.width(name), w, 1) for name, w in widths.items()})
        self.deepest = encoder.layers[-1]
        self.scores = nn.Linear(encoder.width(self.deepest), classes) if classes else None

    def forward(self, image: Tensor) -> tuple[dict[str, Tensor], Tensor | None]:
        """Features mapped to the teacher's widths, and class scores `(b, classes)`."""
        feats = self.encoder(image, [*self.heads, self.deepest])
        mapped = {name: head(feats[name]) for name, head in self.heads.items()}
        pooled = feats[self.deepest].mean(dim=(2, 3))
        return mapped, None if self.scores is None else self.scores(pooled)


@dataclass(frozen=True)
class Classification:
    """Cross-entropy over the classes of labelled pictures (Simonyan & Zisserman 2014)."""

    encoder: Vgg
    classes: int

    def build(self) -> nn.Module:
        """The encoder in training, with a linear head."""
        return Student(self.encoder, widths={}, classes=self.classes)

    def loss(self, module: nn.Module, batch: PictureBatch) -> dict[str, Tensor]:
        """Mean cross-entropy in nats."""
        _, scores = module(placed(batch.images, module))
        assert batch.labels is not None
        return {"classes": F.cross_entropy(scores.float(), batch.labels.to(scores.device))}


@dataclass(frozen=True)
class ChannelNorm:
    """Mean and standard deviation of each channel of a teacher's layer, `(c,)`."""

    mean: Tensor
    std: Tensor

    def __call__(self, feats: Tensor) -> Tensor:
        """Standardised features, clamped at ±8 so that rare peaks do not dominate the loss."""
        mean, std = self.mean.to(feats.device)[:, None, None], self.std.to(feats.device)[:, None, None]
        return ((feats.float() - mean) / std).clamp(-8, 8)


@torch.no_grad()
def channel_norms(teacher: Encoder, images: Tensor, *, layers: Sequence[str]) -> dict[str, ChannelNorm]:
    """The statistics of a teacher's channels on some pictures; a channel that is always zero gets a deviation of 1."""
    norms = {}
    for name, feats in teacher(images, layers).items():
        std, mean = torch.std_mean(feats.float(), dim=(0, 2, 3), correction=0)
        norms[name] = ChannelNorm(mean, torch.where(std > 1e-4 * std.max(), std, torch.ones_like(std)))
    return norms


@dataclass(frozen=True)
class EncoderDistillation:
    """Squared error to a teacher's standardised features, and the divergence of its class scores (Hinton 2015)."""

    encoder: Vgg
    teacher: Encoder
    norms: Mapping[str, ChannelNorm]
    pairs: Mapping[str, str]
    score_layer: str | None
    score_weight: float = 0.2
    temperature: float = 2.0

    def build(self) -> nn.Module:
        """The encoder in training, with its heads."""
        widths = {ours: self.teacher.width(theirs) for ours, theirs in self.pairs.items()}
        classes = self.teacher.width(self.score_layer) if self.score_layer else 0
        return Student(self.encoder, widths=widths, classes=classes)

    def targets(self, images: Tensor) -> dict[str, Tensor]:
        """The teacher's features and scores, without gradients."""
        layers = [*self.pairs.values(), *([self.score_layer] if self.score_layer else [])]
        with torch.no_grad():
            return self.teacher(images, layers)

    def loss(self, module: nn.Module, batch: PictureBatch) -> dict[str, Tensor]:
        """One part for each layer and one for the scores."""
        images = placed(batch.images, module)
        targets = self.targets(images)
        mapped, scores = module(images)
        parts = {ours: feature_error(mapped[ours], self.norms[t](targets[t])) for ours, t in self.pairs.items()}
        if self.score_layer and scores is not None:
            wanted = targets[self.score_layer].float().flatten(1)
            parts["scores"] = self.score_weight * self._divergence(scores.float(), wanted)
        return parts

    def _divergence(self, scores: Tensor, wanted: Tensor) -> Tensor:
        t = self.temperature
        output, target = F.log_softmax(scores / t, dim=1), F.log_softmax(wanted / t, dim=1)
        return F.kl_div(output, target, reduction="batchmean", log_target=True) * t**2


def feature_error(feats: Tensor, target: Tensor) -> Tensor:
    """Mean squared error; the target is resized where strides differ in the number of pixels."""
    if feats.shape[-2:] != target.shape[-2:]:
        target = F.interpolate(target, feats.shape[-2:], mode="bilinear", align_corners=False)
    return F.mse_loss(feats.float(), target)
