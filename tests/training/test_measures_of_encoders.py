"""Measures of an encoder on pictures that it was not trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from impasto.encoders.vgg import Vgg
from impasto.training import measures
from impasto.training.backbone import ChannelNorm, EncoderDistillation, Student
from impasto.training.data import Bytes

STAGES = ((6, 1), (8, 1), (8, 1))


def toy(*, batch_norm: bool = False, seed: int = 0) -> Vgg:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        vgg = Vgg(STAGES, pooling="average", batch_norm=batch_norm)
        for conv in vgg.convs.values():
            torch.nn.init.kaiming_normal_(conv.weight)  # type: ignore[arg-type]
    return vgg.eval()


def pictures_of(count: int, *, seed: int) -> tuple[list[Bytes], list[int]]:
    """Stripes that lie (class 0), stand (class 1) or are none (class 2), with noise, of several sizes."""
    draw = np.random.default_rng(seed)
    pictures, labels = [], []
    for i in range(count):
        h, w = 16 + 4 * (i % 3), 20
        stripes = 200 * (np.arange(24) // 2 % 2)
        flat = {0: np.tile(stripes[:h, None], (1, w)), 1: np.tile(stripes[:w], (h, 1)), 2: np.full((h, w), 100)}[i % 3]
        noisy = flat[..., None] + draw.integers(0, 40, (h, w, 3))
        pictures.append(noisy.clip(0, 255).astype(np.uint8))
        labels.append(i % 3)
    return pictures, labels


# Probe


def test_the_probe_names_classes_that_can_be_told_apart() -> None:
    found = measures.probe_accuracy(toy(), pictures_of(45, seed=0), held_out=pictures_of(36, seed=1), px=16)
    assert found > 0.95


def test_the_probe_knows_nothing_of_classes_without_a_cause() -> None:
    draw = np.random.default_rng(2)
    noise = [draw.integers(0, 256, (16, 16, 3), dtype=np.uint8) for _ in range(150)]
    labels = [int(label) for label in draw.integers(0, 3, 150)]
    found = measures.probe_accuracy(toy(), (noise[:60], labels[:60]), held_out=(noise[60:], labels[60:]), px=16)
    assert 0.15 < found < 0.55


def test_the_scale_of_features_does_not_matter_to_the_probe() -> None:
    vgg, train, held_out = toy(), pictures_of(24, seed=0), pictures_of(21, seed=1)
    before = measures.probe_accuracy(vgg, train, held_out=held_out, px=16)
    with torch.no_grad():
        for conv in vgg.convs.values():
            conv.bias.mul_(50)  # type: ignore[operator, union-attr]
        vgg.convs["conv1_1"].weight.mul_(50)  # type: ignore[operator, union-attr]
    assert measures.probe_accuracy(vgg, train, held_out=held_out, px=16) == before


def test_more_pictures_than_one_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    pictures, _ = pictures_of(10, seed=0)
    whole = measures.pooled_features(toy(), pictures, px=16)
    monkeypatch.setattr(measures, "BATCH", 3)
    torch.testing.assert_close(measures.pooled_features(toy(), pictures, px=16), whole, atol=1e-6, rtol=1e-5)
    assert whole.shape == (10, 16)


def test_measuring_does_not_move_batch_norms() -> None:
    vgg = toy(batch_norm=True).train()
    before = {name: buffer.clone() for name, buffer in vgg.named_buffers()}
    measures.pooled_features(vgg, pictures_of(5, seed=0)[0], px=16)
    assert all(torch.equal(before[name], buffer) for name, buffer in vgg.named_buffers())


# Agreement


@dataclass(frozen=True)
class Twin:
    """A teacher that is an encoder, with scores of 4 classes."""

    student: Student

    def width(self, layer: str) -> int:
        return {"relu1_1": 6, "scores": 4}[layer]

    def __call__(self, image: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        feats = self.student.encoder(image, ["relu1_1"])
        _, scores = self.student(image)
        assert scores is not None
        return {**feats, "scores": scores[..., None, None]}


@pytest.fixture
def task() -> EncoderDistillation:
    teacher = Twin(Student(toy(), widths={}, classes=4))
    norms = {"relu1_1": ChannelNorm(torch.zeros(6), torch.ones(6))}
    return EncoderDistillation(toy(), teacher, norms, {"relu1_1": "relu1_1"}, "scores")


def set_equal(student: Student, task: EncoderDistillation) -> None:
    assert isinstance(task.teacher, Twin)
    assert student.scores is not None
    assert task.teacher.student.scores is not None
    student.scores.load_state_dict(task.teacher.student.scores.state_dict())
    student.heads["relu1_1"].weight.data = torch.eye(6)[..., None, None]  # type: ignore[union-attr]
    student.heads["relu1_1"].bias.data.zero_()  # type: ignore[union-attr, operator]


def test_a_twin_agrees_wholly(task: EncoderDistillation) -> None:
    student = task.build()
    assert isinstance(student, Student)
    pictures, _ = pictures_of(7, seed=0)
    before = measures.teacher_agreement(student, task, pictures=pictures, px=16)
    assert before["relu1_1"] > 0.01
    set_equal(student, task)
    assert measures.teacher_agreement(student, task, pictures=pictures, px=16) == {"relu1_1": 0.0, "first_class": 1.0}


def test_batches_of_agreement_count_by_their_pictures(
    task: EncoderDistillation, monkeypatch: pytest.MonkeyPatch
) -> None:
    student, (pictures, _) = task.build(), pictures_of(7, seed=0)
    whole = measures.teacher_agreement(student, task, pictures=pictures, px=16)
    monkeypatch.setattr(measures, "BATCH", 3)
    assert measures.teacher_agreement(student, task, pictures=pictures, px=16) == pytest.approx(whole, abs=2e-4)


# Classes


def test_class_accuracy_counts_what_the_head_names(monkeypatch: pytest.MonkeyPatch) -> None:
    student = Student(toy(), widths={}, classes=3)
    assert student.scores is not None
    with torch.no_grad():
        student.scores.weight.zero_()
        student.scores.bias.copy_(torch.tensor([0.0, 5.0, 0.0]))
    pictures, _ = pictures_of(5, seed=0)
    monkeypatch.setattr(measures, "BATCH", 2)
    assert measures.class_accuracy(student, pictures, labels=[1, 0, 1, 2, 1], px=16) == 0.6
    assert not student.training
