"""Training of an encoder, on toy classes and toy teachers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from impasto.config.training import FitOptions
from impasto.encoders.squeezenet import SqueezeNet
from impasto.encoders.vgg import STAGES, Vgg
from impasto.training.backbone import (
    ChannelNorm,
    Classification,
    EncoderDistillation,
    Student,
    channel_norms,
    feature_error,
    layer_pairs,
)
from impasto.training.checkpoints import averaged
from impasto.training.data import Crops, PictureBatch
from impasto.training.fit import fit

TOY = ((6, 1), (8, 1))
PLAIN = {"layer": ChannelNorm(torch.zeros(6), torch.ones(6))}
QUICK = FitOptions(steps=40, batch_size=8, learning_rate=0.02, warmup_steps=2, precision="float32", average_decay=0.5)


def toy(seed: int = 0, *, batch_norm: bool = False) -> Vgg:
    torch.manual_seed(seed)
    return Vgg(TOY, pooling="average", batch_norm=batch_norm)


@dataclass(frozen=True)
class ToyTeacher:
    """Features `layer` of an encoder after its first ReLU, and `scores` of 5 classes."""

    student: Student

    def width(self, layer: str) -> int:
        return {"layer": 6, "scores": 5}[layer]

    def __call__(self, image: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        feats = self.student.encoder(image, ["relu1_1"])["relu1_1"]
        _, scores = self.student(image)
        assert scores is not None
        return {"layer": feats, "scores": scores[..., None, None]}


def distillation(encoder: Vgg, teacher: ToyTeacher, **options: object) -> EncoderDistillation:
    given: dict[str, object] = {"norms": PLAIN, "pairs": {"relu1_1": "layer"}, "score_layer": "scores"}
    return EncoderDistillation(encoder, teacher, **(given | options))  # type: ignore[arg-type]


@pytest.fixture
def teacher() -> ToyTeacher:
    return ToyTeacher(Student(toy(1), widths={}, classes=5).requires_grad_(False))


@pytest.fixture
def batch() -> PictureBatch:
    return PictureBatch(torch.rand(3, 3, 12, 12), torch.arange(3))


def set_equal(student: Student, teacher: ToyTeacher, norm: ChannelNorm) -> None:
    """Make a student its teacher's copy, with heads that standardise."""
    student.encoder.load_state_dict(teacher.student.encoder.state_dict())
    head = student.heads["relu1_1"]
    head.weight.data = torch.diag(1 / norm.std)[:, :, None, None]  # type: ignore[union-attr, operator]
    head.bias.data = -norm.mean / norm.std  # type: ignore[union-attr, operator]
    assert student.scores is not None
    assert teacher.student.scores is not None
    student.scores.load_state_dict(teacher.student.scores.state_dict())


# Distillation


@pytest.mark.parametrize("measured", [False, True])
def test_the_loss_of_a_student_that_is_its_teacher_is_zero(
    measured: bool, teacher: ToyTeacher, batch: PictureBatch
) -> None:
    norms = channel_norms(teacher, batch.images, layers=["layer"]) if measured else PLAIN
    task = distillation(toy(2), teacher, norms=norms)
    student = task.build()
    assert isinstance(student, Student)
    before = task.loss(student, batch)
    set_equal(student, teacher, norms["layer"])
    found = task.loss(student, batch)
    assert found.keys() == before.keys() == {"relu1_1", "scores"}
    assert float(found["relu1_1"].detach()) == pytest.approx(0, abs=1e-10)
    assert float(found["scores"].detach()) == pytest.approx(0, abs=1e-6)
    assert all(float(part.detach()) > 1e-4 for part in before.values())


def test_gradients_reach_the_student_and_not_the_teacher(teacher: ToyTeacher, batch: PictureBatch) -> None:
    task = distillation(toy(2), teacher)
    student = task.build()
    sum(task.loss(student, batch).values()).backward()  # type: ignore[union-attr]
    assert all(p.grad is not None for p in student.parameters())
    assert all(p.grad is None for p in teacher.student.parameters())


def test_targets_carry_no_gradient(batch: PictureBatch) -> None:
    teacher = ToyTeacher(Student(toy(1), widths={}, classes=5))
    targets = distillation(toy(2), teacher).targets(batch.images)
    assert targets.keys() == {"layer", "scores"}
    assert not any(t.requires_grad for t in targets.values())


def test_without_scores(teacher: ToyTeacher, batch: PictureBatch) -> None:
    task = distillation(toy(2), teacher, score_layer=None)
    student = task.build()
    assert isinstance(student, Student)
    assert student.scores is None
    assert task.loss(student, batch).keys() == {"relu1_1"}


def test_the_weight_of_the_scores(teacher: ToyTeacher, batch: PictureBatch) -> None:
    one = distillation(toy(2), teacher, score_weight=1.0)
    other = distillation(toy(2), teacher, score_weight=3.0)
    student = one.build()
    torch.testing.assert_close(3 * one.loss(student, batch)["scores"], other.loss(student, batch)["scores"])


def test_distillation_by_fit(teacher: ToyTeacher, tmp_path: Path) -> None:
    pictures = [np.random.default_rng(i).integers(0, 256, (16, 16, 3), dtype=np.uint8) for i in range(4)]
    crops = Crops(pictures, 8, 12, 0)
    rows = list(fit(distillation(toy(2, batch_norm=True), teacher), crops, options=QUICK, folder=tmp_path))
    for name in ("relu1_1", "scores"):
        assert rows[-1].losses[name] < 0.6 * rows[0].losses[name], name


def test_the_task_trains_its_own_encoder(teacher: ToyTeacher) -> None:
    encoder = toy(2)
    student = distillation(encoder, teacher).build()
    assert isinstance(student, Student)
    assert student.encoder is encoder


def test_the_pairs_of_squeezenet_have_one_stride() -> None:
    with torch.device("meta"):
        ours = Vgg(STAGES["compact-vgg"])
        theirs = SqueezeNet(matrix=[[1.0]], offset=[0.0])
    pairs = layer_pairs(ours, theirs)
    assert pairs == {"relu2_2": "conv1", "relu3_3": "fire4", "relu4_2": "fire8", "relu5_1": "fire9"}
    assert all(ours.stride(mine) == theirs.stride(other) for mine, other in pairs.items())


# Norms and errors


def test_channel_norms_standardise(teacher: ToyTeacher) -> None:
    images = torch.rand(4, 3, 12, 12)
    norm = channel_norms(teacher, images, layers=["layer"])["layer"]
    feats = norm(teacher(images, ["layer"])["layer"])
    alive = norm.std != 1
    assert bool(alive.any())
    torch.testing.assert_close(feats.mean((0, 2, 3)), torch.zeros(6), atol=1e-4, rtol=0)
    torch.testing.assert_close(
        feats.std((0, 2, 3), correction=0)[alive], torch.ones(int(alive.sum())), atol=1e-2, rtol=0
    )


def test_a_channel_that_never_fires_has_a_deviation_of_one() -> None:
    def dead(image: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        return {"layer": torch.stack([torch.zeros(8), torch.arange(8.0)])[None, :, :, None]}

    norm = channel_norms(dead, torch.rand(1, 3, 4, 4), layers=["layer"])["layer"]  # type: ignore[arg-type]
    assert norm.std[0] == 1
    assert norm.std[1] == pytest.approx(np.arange(8).std())


def test_norms_of_one_number_a_channel() -> None:
    def single(image: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        return {"scores": torch.ones(1, 2, 1, 1)}

    norm = channel_norms(single, torch.rand(1, 3, 4, 4), layers=["scores"])["scores"]  # type: ignore[arg-type]
    assert norm.std.tolist() == [1, 1]


def test_rare_peaks_are_clamped() -> None:
    assert ChannelNorm(torch.zeros(1), torch.ones(1))(torch.tensor([[[[-99.0, 3.0, 99.0]]]])).tolist() == [
        [[[-8, 3, 8]]]
    ]


def test_a_target_of_another_size_is_resized() -> None:
    assert float(feature_error(torch.full((1, 2, 4, 4), 3.0), torch.full((1, 2, 5, 6), 1.0))) == pytest.approx(4)


# Classification


def striped(vertical: bool, seed: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    draw = np.random.default_rng(seed)
    wave = 127 + 120 * np.sin(np.arange(24) * 2 + draw.uniform(0, 6))
    picture = np.broadcast_to(wave[None, :, None] if vertical else wave[:, None, None], (24, 24, 3))
    return (picture + draw.uniform(0, 5, (24, 24, 3))).astype(np.uint8)


def test_toy_classes_are_learned(tmp_path: Path) -> None:
    pictures = [striped(bool(i % 2), i) for i in range(12)]
    crops = Crops(pictures, 8, 16, 0, smallest_crop=0.9, labels=[i % 2 for i in range(12)])
    task = Classification(toy(0, batch_norm=True), 2)
    rows = list(fit(task, crops, options=QUICK, folder=tmp_path))
    assert rows[0].losses.keys() == {"classes"}
    assert np.mean([r.losses["classes"] for r in rows[-5:]]) < 0.3 < rows[0].losses["classes"]
    student = task.build()
    student.load_state_dict(averaged(tmp_path / "checkpoint.pt"))
    student.eval()
    batch = crops(10**6)
    with torch.no_grad():
        _, scores = student(batch.images)
    assert float((scores.argmax(1) == batch.labels).float().mean()) > 0.8


def test_a_student_without_classes_has_no_scores(batch: PictureBatch) -> None:
    mapped, scores = Student(toy(), widths={"relu1_1": 3}, classes=0)(batch.images)
    assert scores is None
    assert mapped["relu1_1"].shape == (3, 3, 12, 12)


def test_training_in_bfloat16(tmp_path: Path, teacher: ToyTeacher) -> None:
    pictures = [np.full((16, 16, 3), 40 * i, np.uint8) for i in range(4)]
    options = FitOptions(steps=3, batch_size=4, checkpoint_every=10)
    rows = list(
        fit(distillation(toy(2, batch_norm=True), teacher), Crops(pictures, 4, 12, 0), options=options, folder=tmp_path)
    )
    assert all(np.isfinite(v) for r in rows for v in r.losses.values())
    assert all(isinstance(m, nn.Module) for m in teacher.student.modules())
