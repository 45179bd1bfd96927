"""Training runs of the encoder, from options to a weight file; few steps on tiny pictures."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from impasto.config.training import ENCODERS, BackboneOptions, FitOptions
from impasto.core.errors import DataError, OptionError, StateError
from impasto.core.paths import sha256_of
from impasto.encoders.scaling import channel_means
from impasto.encoders.table import Encoder, load_encoder
from impasto.encoders.vgg import STAGES, Vgg
from impasto.training import backbone_run as run
from impasto.training import image_dataset
from impasto.training.backbone import Student
from impasto.training.checkpoints import averaged
from impasto.training.fit import fit
from impasto.weights.card import save

FIT = FitOptions(
    steps=2,
    batch_size=2,
    learning_rate=1e-3,
    warmup_steps=0,
    precision="float32",
    checkpoint_every=1,
    average_decay=0.5,
)


@pytest.fixture(autouse=True)
def few_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "SAMPLE", 12)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three pictures of each of two classes, one of which `held_out` lists, too."""
    draw = np.random.default_rng(0)
    for name, level in (("dark", 40), ("light", 200)):
        for i in range(3):
            path = tmp_path / "data" / name / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            coarse = Image.fromarray((level + draw.integers(-40, 40, (6, 6, 3))).astype(np.uint8))
            coarse.resize((36 + 4 * i, 34), Image.Resampling.BICUBIC).save(path)
    rows = "data/dark/0.png,dark\ndata/light/0.png,light\n"
    (tmp_path / "held_out.csv").write_text("path,class\n" + rows, encoding="utf-8")
    return tmp_path / "data"


@pytest.fixture
def teacher(tmp_path: Path, encoder: Encoder) -> Path:
    save(tmp_path / "teacher.safetensors", encoder.net.convs_folded(), card=encoder.card)  # type: ignore[operator]
    return tmp_path / "teacher.safetensors"


@pytest.fixture
def options(data: Path, tmp_path: Path) -> BackboneOptions:
    """Classification, measured on the list."""
    return BackboneOptions(data=(data,), validation=tmp_path / "held_out.csv", crop_px=32, short_side_px=32)


@pytest.fixture
def distil(options: BackboneOptions, teacher: Path) -> BackboneOptions:
    return dataclasses.replace(options, teacher=str(teacher))


def trained(options: BackboneOptions, folder: Path, *, fitting: FitOptions = FIT) -> Path:
    list(run.prepare_backbone(options, fitting).train(folder))
    return folder / "encoder.safetensors"


def in_proportion(found: torch.Tensor, expected: torch.Tensor) -> bool:
    """Whether each channel of `found` is a positive multiple of that of `expected`, within the precision of float16.

    Nearly dead channels are small differences of large numbers, which float16 does not keep.
    """
    a, b = (feats.transpose(0, 1).flatten(1).double() for feats in (found, expected))
    factors = (a * b).sum(1) / b.square().sum(1).clamp(min=1e-12)
    away, size = (a - factors[:, None] * b).norm(dim=1), a.norm(dim=1)
    return bool((away <= 0.02 * size + 0.01 * size.mean()).all()) and bool((factors >= 0).all())


def test_distillation_from_options_to_a_file(distil: BackboneOptions, teacher: Path, tmp_path: Path) -> None:
    steps = list(run.prepare_backbone(distil, FIT).train(tmp_path / "out"))
    assert [step.step for step in steps] == [1, 2]
    assert set(steps[0].losses) == {"relu2_2", "relu3_3", "relu4_2", "relu5_1"}
    path = tmp_path / "out" / "encoder.safetensors"
    card = load_encoder(path, precision="float32").card
    assert (card.kind, card.name, card.preprocess) == ("encoder", "compact-vgg", "imagenet-rgb")
    training = card.training
    assert training["fit"] == json.loads(json.dumps(FIT.to_dict()))
    assert (training["pictures"], training["unreadable"], training["classes"]) == (4, 0, 2)
    assert (
        f"Distilled from teacher.safetensors, whose licence applies: {load_encoder(teacher).card.licence}" in card.notes
    )
    assert training["teacher_sha256"] == sha256_of(teacher)
    assert training["options"]["teacher"] == "teacher.safetensors"
    assert training["options"]["data"] == ["data"]
    assert str(tmp_path) not in card.to_json()
    assert card.measures["pictures"] == 2
    assert set(card.measures["teacher"]) == {"relu2_2", "relu3_3", "relu4_2", "relu5_1"}
    assert 0 <= card.measures["probe_accuracy"] <= 1


def test_the_file_is_the_trained_student(distil: BackboneOptions, tmp_path: Path) -> None:
    encoder = load_encoder(trained(distil, tmp_path / "out"), precision="float32")
    prepared = run.prepare_backbone(distil, FIT)
    student = prepared.task.build()
    assert isinstance(student, Student)
    student.load_state_dict(averaged(tmp_path / "out" / "checkpoint.pt"))
    student.eval()
    sample = run.sampled(prepared.batches)
    layers = [name for name in encoder.layers if name.startswith("relu")]
    assert isinstance(encoder.net, Vgg)
    with torch.no_grad():
        found, expected = encoder(sample[:4], layers), student.encoder(sample[:4], layers)
    for name in layers:
        assert in_proportion(found[name], expected[name]), name
        assert encoder.card.layer_scale[name] == pytest.approx(
            float(channel_means(encoder.net, sample, layer=name).mean()), rel=0.02
        )
        assert encoder.card.layer_scale[name] == pytest.approx(1.0, abs=0.2)
    assert not in_proportion(found["relu5_1"], expected["relu5_1"].flip(1))  # the law can fail


def test_classification_from_options_to_a_file(options: BackboneOptions, tmp_path: Path) -> None:
    card = load_encoder(trained(options, tmp_path / "out"), precision="float32").card
    assert set(card.measures) == {"pictures", "class_accuracy", "probe_accuracy"}
    assert "teacher_sha256" not in card.training
    assert card.training["options"]["teacher"] is None


@pytest.mark.parametrize("kind", ["options", "distil"])
def test_stopped_and_resumed_is_as_if_never_stopped(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    given = request.getfixturevalue(kind)
    whole = trained(given, tmp_path / "whole").read_bytes()
    steps = run.prepare_backbone(given, FIT).train(tmp_path / "parts")
    assert next(steps).step == 1
    steps.close()  # type: ignore[attr-defined]
    assert not (tmp_path / "parts" / "encoder.safetensors").exists()
    assert [step.step for step in run.prepare_backbone(given, FIT).train(tmp_path / "parts")] == [2]
    assert (tmp_path / "parts" / "encoder.safetensors").read_bytes() == whole
    assert list(run.prepare_backbone(given, FIT).train(tmp_path / "parts")) == []  # nothing left to do but the file
    assert (tmp_path / "parts" / "encoder.safetensors").read_bytes() == whole


def test_a_folder_belongs_to_one_training(options: BackboneOptions, data: Path, tmp_path: Path) -> None:
    one = dataclasses.replace(FIT, steps=1)
    trained(options, tmp_path / "out", fitting=one)
    with pytest.raises(StateError, match="another smallest_crop"):
        trained(dataclasses.replace(options, smallest_crop=0.9), tmp_path / "out", fitting=one)
    with pytest.raises(StateError, match="another learning_rate"):
        trained(options, tmp_path / "out", fitting=dataclasses.replace(one, learning_rate=1.0))
    (data / "dark" / "2.png").unlink()
    with pytest.raises(StateError, match="another pictures"):
        trained(options, tmp_path / "out", fitting=one)


def test_what_is_measured_is_not_trained_on(options: BackboneOptions) -> None:
    prepared = run.prepare_backbone(options, FIT)
    train, held_out = prepared.datasets
    kept = {picture.tobytes() for picture in held_out}
    assert len(kept) == 2
    assert not kept & {picture.tobytes() for picture in train}
    assert len(train) == 4
    (everything,) = run.prepare_backbone(dataclasses.replace(options, validation=None), FIT).datasets
    assert len(everything) == 6


def test_preparing_leaves_the_callers_random_numbers(options: BackboneOptions) -> None:
    before = torch.get_rng_state()
    run.prepare_backbone(options, FIT)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_sample_is_of_the_training_pictures_and_always_the_same(options: BackboneOptions) -> None:
    one, other = (run.sampled(run.prepare_backbone(options, FIT).batches) for _ in range(2))
    assert one.shape == (run.SAMPLE, 3, 32, 32)
    assert torch.equal(one, other)


def test_weights_of_sources(options: BackboneOptions, data: Path) -> None:
    split = (data / "dark", data / "light")
    two = dataclasses.replace(options, data=split, data_weights=(1.0, 3.0), teacher="unused", validation=None)
    items, odds = run._items(two, without=set())
    assert len(items) == 6
    assert odds == [1.0] * 3 + [3.0] * 3
    assert run._items(dataclasses.replace(two, data_weights=(2.0,)), without=set())[1] == [2.0] * 6
    for wrong in ((1.0, 2.0, 3.0), ()):
        with pytest.raises(OptionError, match="2 sources need as many, or one"):
            run.prepare_backbone(dataclasses.replace(two, data_weights=wrong), FIT)
    with pytest.raises(DataError, match="above 0"):
        run.prepare_backbone(dataclasses.replace(two, data_weights=(0.0,)), FIT)


def small_vgg(stages: tuple[tuple[int, int], ...], make: Callable[..., Encoder], path: Path) -> Path:
    made = make(stages=stages)
    save(path, made.net.convs_folded(), card=made.card)  # type: ignore[operator]
    return path


def test_starting_from_an_encoder_begins_where_it_was(
    options: BackboneOptions, make_encoder: Callable[..., Encoder], tmp_path: Path
) -> None:
    path = small_vgg(STAGES["compact-vgg"], make_encoder, tmp_path / "start.safetensors")
    prepared = run.prepare_backbone(dataclasses.replace(options, start_from=str(path)), FIT)
    sample = run.sampled(prepared.batches)
    start = load_encoder(path, precision="float32")
    with torch.no_grad():
        found, expected = prepared.task.encoder.eval()(sample, ["relu5_1"]), start(sample, ["relu5_1"])
    torch.testing.assert_close(found["relu5_1"], expected["relu5_1"], rtol=1e-3, atol=1e-3)
    assert prepared.task.encoder.norms
    plain = run.prepare_backbone(options, FIT).task.encoder.eval()
    with torch.no_grad():
        assert not torch.allclose(plain(sample, ["relu5_1"])["relu5_1"], expected["relu5_1"], rtol=0.1, atol=0.1)


def test_encoders_that_do_not_serve(
    options: BackboneOptions, make_encoder: Callable[..., Encoder], teacher: Path, tmp_path: Path
) -> None:
    with pytest.raises(OptionError, match="does not have the layers of compact-vgg"):
        run.prepare_backbone(dataclasses.replace(options, start_from=str(teacher)), FIT)
    shallow = small_vgg(((4, 1), (6, 1)), make_encoder, tmp_path / "shallow.safetensors")
    with pytest.raises(OptionError, match="has no layers to match relu2_2"):
        run.prepare_backbone(dataclasses.replace(options, teacher=str(shallow)), FIT)


def listing(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("arch", ["vgg16-bn", "vgg19-bn"])
def test_architectures_with_batch_norm(
    arch: str, options: BackboneOptions, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(run.ARCHITECTURES[arch], "stages", ((4, 2), (6, 2), (8, 3)))
    given = dataclasses.replace(options, arch=arch, epochs=1.5)
    assert [step.step for step in run.prepare_backbone(given, FIT).train(tmp_path / "out")] == [
        1,
        2,
        3,
    ]  # 4 pictures by 2
    encoder = load_encoder(tmp_path / "out" / "encoder.safetensors", precision="float32")
    assert isinstance(encoder.net, Vgg)
    assert (encoder.name, encoder.net.padding, encoder.net.pooling) == (arch, "zeros", "max")
    assert encoder.net.stages == ((4, 2), (6, 2), (8, 3))
    assert not encoder.net.norms


def test_architectures_are_those_of_the_options() -> None:
    assert tuple(run.ARCHITECTURES) == ENCODERS
    assert run.ARCHITECTURES["vgg16-bn"]["stages"] == STAGES["vgg16"]


def test_pictures_are_read_when_they_are_drawn(
    options: BackboneOptions, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []
    plain = image_dataset.small

    def small(path: Path, short_side_px: int) -> Any:
        read.append(path)
        return plain(path, short_side_px)

    monkeypatch.setattr(image_dataset, "small", small)
    monkeypatch.setattr(run, "SAMPLE", 2)
    prepared = run.prepare_backbone(dataclasses.replace(options, memory_gb=0), FIT)
    assert len(read) == 2  # those of the sample
    assert [dataset.cached_bytes for dataset in prepared.datasets] == [0, 0]


def test_data_that_does_not_serve(options: BackboneOptions, data: Path, tmp_path: Path) -> None:
    def refused(message: str, error: type[Exception] = DataError, **other: Any) -> None:
        with pytest.raises(error, match=message):
            trained(dataclasses.replace(options, **other), tmp_path / "out")

    refused("`data` is missing", OptionError, data=())
    refused("at least two classes", data=(data / "dark",), validation=None)
    refused("every picture of .*data is in `validation`", validation=data)
    nameless = listing(tmp_path / "nameless.csv", "path", "data/dark/0.png")
    refused("`validation` have no classes", validation=nameless)
    assert not (tmp_path / "out").exists()


def test_distillation_needs_no_classes(distil: BackboneOptions, data: Path, tmp_path: Path) -> None:
    nameless = listing(tmp_path / "nameless.csv", "path", "data/dark/0.png")
    prepared = run.prepare_backbone(dataclasses.replace(distil, validation=nameless), FIT)
    _, card = prepared.export(prepared.task.build().state_dict())
    assert set(card.measures) == {"pictures", "teacher"}
    flat = dataclasses.replace(distil, data=(data / "dark",), validation=None)
    assert run.prepare_backbone(flat, FIT).batches.labels is None


def test_unreadable_pictures_are_counted(distil: BackboneOptions, data: Path) -> None:
    (data / "dark" / "9.png").write_bytes(b"no picture")
    prepared = run.prepare_backbone(distil, FIT)
    _, card = prepared.export(prepared.task.build().state_dict())
    assert card.training["unreadable"] == 1
    assert "9.png" in prepared.unreadable[0]


def test_batches_made_ahead_are_the_same(options: BackboneOptions, tmp_path: Path) -> None:
    prepared = run.prepare_backbone(options, FIT)
    plain = [step.losses for step in fit(prepared.task, prepared.batches, options=FIT, folder=tmp_path / "plain")]
    ahead = [step.losses for step in run.prepare_backbone(options, FIT).train(tmp_path / "ahead")]
    assert ahead == plain
