"""Measures of an encoder on held-out pictures."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from impasto.encoders.vgg import Vgg
from impasto.training.backbone import EncoderDistillation, Student, feature_error
from impasto.training.data import Bytes, centre_crop

BATCH = 32
PROBED = 6000  # maximum number of training pictures of the linear probe, evenly sampled


@torch.no_grad()
def teacher_agreement(
    student: nn.Module, task: EncoderDistillation, *, pictures: Sequence[Bytes], px: int
) -> dict[str, float]:
    """Errors against the teacher's standardised features (predicting their mean gives 1), by layer, and `first_class`:
    top-1 agreement."""
    student.eval()
    sums: dict[str, float] = {}
    for start in range(0, len(pictures), BATCH):
        images = _batch(pictures[start : start + BATCH], px)
        targets = task.targets(images)
        mapped, scores = student(images)
        measures = {ours: feature_error(mapped[ours], task.norms[t](targets[t])) for ours, t in task.pairs.items()}
        if task.score_layer and scores is not None:
            same = scores.argmax(1) == targets[task.score_layer].flatten(1).argmax(1)
            measures["first_class"] = same.float().mean()
        for name, value in measures.items():
            sums[name] = sums.get(name, 0.0) + value.item() * len(images)
    return {name: round(total / len(pictures), 4) for name, total in sums.items()}


@torch.no_grad()
def class_accuracy(student: Student, pictures: Sequence[Bytes], *, labels: Sequence[int], px: int) -> float:
    """Top-1 accuracy of the student's head."""
    student.eval()
    right = 0
    for start in range(0, len(pictures), BATCH):
        _, scores = student(_batch(pictures[start : start + BATCH], px))
        assert scores is not None
        right += int((scores.argmax(1) == torch.tensor(labels[start : start + BATCH])).sum())
    return round(right / len(pictures), 4)


def probe_accuracy(
    encoder: Vgg,
    train: tuple[Sequence[Bytes], Sequence[int]],
    *,
    held_out: tuple[Sequence[Bytes], Sequence[int]],
    px: int,
) -> float:
    """Accuracy of a linear classifier on the encoder's features, on held-out pictures.

    The classifier is a ridge regression onto one-hot classes from the means of the two deepest layers, standardised;
    a linear probe measures the information in the features, independent of their training task (Alain & Bengio 2016).
    """
    every = -(-len(train[0]) // PROBED)
    known, unknown = pooled_features(encoder, train[0][::every], px=px), pooled_features(encoder, held_out[0], px=px)
    mean, std = known.mean(0), known.std(0).clamp(min=1e-6)
    known, unknown = (known - mean) / std, (unknown - mean) / std
    one_hot = nn.functional.one_hot(torch.tensor(train[1][::every]), max(train[1]) + 1).double()
    ridge = 0.1 * len(known) * torch.eye(known.shape[1], dtype=torch.float64)
    solution = torch.linalg.solve(known.T @ known + ridge, known.T @ (one_hot - one_hot.mean(0)))
    named = (unknown @ solution + one_hot.mean(0)).argmax(1)
    right = int((named == torch.tensor(held_out[1])).sum())
    return round(right / len(named), 4)


@torch.no_grad()
def pooled_features(encoder: Vgg, pictures: Sequence[Bytes], *, px: int) -> Tensor:
    """Mean features of the two deepest ReLUs, `(n, c)` float64."""
    encoder.eval()
    layers = [name for name in encoder.layers if name.startswith("relu")][-2:]
    rows = []
    for start in range(0, len(pictures), BATCH):
        feats = encoder(_batch(pictures[start : start + BATCH], px), layers)
        rows.append(torch.cat([feats[name].float().mean((2, 3)) for name in layers], dim=1).double())
    return torch.cat(rows)


def _batch(pictures: Sequence[Bytes], px: int) -> Tensor:
    images = torch.cat([centre_crop(picture, px) for picture in pictures])
    return images.contiguous(memory_format=torch.channels_last)
