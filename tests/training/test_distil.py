"""Laws of lessons, of what is kept of them, and of the loss by which a network learns from its teachers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from teaching import Painters, invert

from impasto.config.distil import DistilOptions
from impasto.config.fast_training import FastFitOptions
from impasto.core.errors import DataError
from impasto.objective.output import Weights
from impasto.training.distil import Distillation, DistillBatch
from impasto.training.distil_run import prepare_distil
from impasto.training.fit import fit
from impasto.training.microbatch import part_of
from impasto.training.run import Run

LEVEL = 0.51 / 255

Options = Callable[..., DistilOptions]

pytestmark = pytest.mark.usefixtures("painters")


@pytest.fixture
def prepared(distil_options: Options, short: FastFitOptions, painters: Painters) -> Callable[..., Run[Distillation]]:
    """`prepared(multi_style=…)`: the task of a training, and its batches."""
    return lambda **options: prepare_distil(distil_options(**options), short)


def painted(ready: Run[Distillation], batch: DistillBatch) -> torch.Tensor:
    """What the teachers make of the batch, in the order of contents."""
    rows, teachers = batch.weights.nonzero(as_tuple=True)
    return ready.task.painted(batch, rows.tolist(), teachers=teachers.tolist(), place=torch.device("cpu"))


# DistillBatches


def test_a_result_is_cut_where_its_content_is(
    prepared: Callable[..., Run[Distillation]], contents: Path, tmp_path: Path
) -> None:
    folder = invert(contents, tmp_path / "results")
    lessons = prepared(teachers=(folder,), short_side_px=64).batches  # nothing is scaled before it is cut
    for step in range(6):
        batch = lessons(step)
        assert bool(batch.given.all())
        torch.testing.assert_close(batch.painted[0], 1 - batch.contents, atol=1e-6, rtol=0)
    assert not torch.allclose(lessons(0).contents, lessons(1).contents)


def test_a_result_of_another_size_is_scaled(
    prepared: Callable[..., Run[Distillation]], contents: Path, tmp_path: Path
) -> None:
    folder = invert(contents, tmp_path / "results", scale=2)
    batch = prepared(teachers=(folder,), short_side_px=64).batches(0)
    error = (batch.painted[0] - (1 - batch.contents)).abs()
    assert float(error.mean()) < 0.01
    assert float((batch.painted[0] - batch.contents).abs().mean()) > 0.1  # the law can fail


def test_contents_without_a_result_are_left_out_for_that_teacher(
    prepared: Callable[..., Run[Distillation]], contents: Path, tmp_path: Path
) -> None:
    folder = invert(contents, tmp_path / "results", but=("0", "1", "3"))
    alone = prepared(teachers=(folder,)).batches
    both = prepared(teachers=(folder, Path("same")), multi_style="average", weights=(1.0, 3.0)).batches
    turns = prepared(teachers=(folder, Path("same")), multi_style="alternate").batches
    seen = set()
    for step in range(12):
        assert bool(alone(step).given.all())
        for given, weights in zip(both(step).given, both(step).weights, strict=True):
            seen.add(bool(given[0]))
            assert weights.tolist() == ([0.25, 0.75] if given[0] else [0.0, 1.0])
        assert torch.equal(turns(step).given[:, 0], torch.full((2,), step % 2 == 0))
    assert seen == {True, False}


def test_a_broken_or_alien_result_is_passed_over(
    prepared: Callable[..., Run[Distillation]], contents: Path, tmp_path: Path
) -> None:
    from PIL import Image

    folder = invert(contents, tmp_path / "results")
    (folder / "0.png").write_bytes(b"no picture")
    (folder / "1.png").write_bytes(b"")
    Image.new("RGB", (20, 90)).save(folder / "2.png")
    ready = prepared(teachers=(folder,), short_side_px=64)
    for step in range(6):
        batch = ready.batches(step)
        torch.testing.assert_close(batch.painted[0], 1 - batch.contents, atol=1e-6, rtol=0)
    assert {text.partition(".png")[0][-1] for text in ready.unreadable} == {"0", "1"}
    for path in folder.iterdir():
        path.write_bytes(b"")
    with pytest.raises(DataError, match="none of 5 contents is readable and painted by results"):
        prepared(teachers=(folder,)).batches(0)


def test_lessons_follow_from_seed_and_step(prepared: Callable[..., Run[Distillation]]) -> None:
    one, other = (prepared(teachers=(Path("same"), Path("dark"))).batches for _ in range(2))
    for step in (0, 3):
        assert torch.equal(one(step).contents, other(step).contents)
        assert torch.equal(one(step).weights, other(step).weights)
    assert not torch.equal(one(0).contents, one(1).contents)


def test_a_part_of_a_lesson_is_a_lesson(
    prepared: Callable[..., Run[Distillation]], contents: Path, tmp_path: Path
) -> None:
    folder = invert(contents, tmp_path / "results")
    batch = prepared(teachers=(folder, Path("same")), multi_style="sum", short_side_px=64).batches(0)
    for index in range(2):
        part = part_of(batch, index, count=2)
        assert part.contents.shape[0] == 1
        torch.testing.assert_close(part.painted[0], 1 - part.contents, atol=1e-6, rtol=0)


# What is kept


def test_what_is_kept_is_what_would_be_painted(
    prepared: Callable[..., Run[Distillation]], painters: Painters, tmp_path: Path
) -> None:
    ready = prepared(teachers=(Path("inverted"), Path("dark")), cache=tmp_path / "kept")
    painters.calls["dark"].clear()
    for step in range(8):
        batch = ready.batches(step)
        live = torch.where((batch.weights[:, 0] > 0)[:, None, None, None], 1 - batch.contents, batch.contents / 4)
        torch.testing.assert_close(painted(ready, batch), live, atol=LEVEL, rtol=0)
    calls = {name: len(found) for name, found in painters.calls.items()}
    again = [ready.batches(step) for step in range(8)]
    paintings = [painted(ready, batch) for batch in again]
    assert all(torch.equal(batch.given, batch.weights > 0) for batch in again)
    assert {name: len(found) for name, found in painters.calls.items()} == calls  # nothing was painted twice
    assert 1 <= calls["dark"] <= 5  # once for each content
    torch.testing.assert_close(paintings[0], painted(ready, ready.batches(0)), atol=0, rtol=0)


def test_a_content_has_one_crop_where_paintings_are_kept(
    prepared: Callable[..., Run[Distillation]], tmp_path: Path
) -> None:
    for cache, most in ((tmp_path / "kept", 5), (None, 40)):
        lessons = prepared(teachers=(Path("same"),), cache=cache).batches
        crops = {tuple(crop.flatten().tolist()) for step in range(20) for crop in lessons(step).contents}
        assert 3 <= len(crops) <= most
        assert (len(crops) <= 5) == (cache is not None)  # the law can fail


def test_paintings_of_others_are_not_taken(prepared: Callable[..., Run[Distillation]], tmp_path: Path) -> None:
    first = prepared(teachers=(Path("dark"),), cache=tmp_path / "kept")
    painted(first, first.batches(0))
    for other in ({"teachers": (Path("inverted"),)}, {"teacher_strength": 0.5}, {"crop_px": 40}):
        ready = prepared(**({"teachers": (Path("dark"),), "cache": tmp_path / "kept"} | other))
        assert not ready.batches(0).given.any()
    assert prepared(teachers=(Path("dark"),), cache=tmp_path / "kept").batches(0).given.all()


def test_a_damaged_painting_is_made_again(
    prepared: Callable[..., Run[Distillation]], painters: Painters, tmp_path: Path
) -> None:
    ready = prepared(teachers=(Path("dark"),), cache=tmp_path / "kept")
    before = painted(ready, ready.batches(0))
    for path in (tmp_path / "kept").rglob("*.png"):
        path.write_bytes(path.read_bytes()[:40])
    batch = ready.batches(0)
    assert not batch.given.any()
    assert torch.equal(painted(ready, batch), before)
    assert ready.batches(0).given.all()


# The loss


def test_parts_and_their_weights(prepared: Callable[..., Run[Distillation]]) -> None:
    ready = prepared(teachers=(Path("dark"),), smoothness_weight=1.0, noise_weight=1.0)
    batch, module = ready.batches(0), ready.task.build()

    def parts(**weights: float) -> dict[str, torch.Tensor]:
        torch.manual_seed(0)
        given = {"pixels": 1.0, "features": 1.0, "smoothness": 1.0, "noise": 1.0, "range": 1.0} | weights
        task = dataclasses.replace(ready.task, weights=Weights(**given))
        return task.loss(module, batch)

    once = parts()
    assert list(once) == ["features", "pixels", "smoothness", "noise", "range"]
    for name in once:
        assert name not in parts(**{name: 0.0})
        torch.testing.assert_close(parts(**{name: 3.0})[name], 3 * once[name])
    with torch.no_grad():
        output = module(batch.contents)
    torch.testing.assert_close(once["pixels"], (output - batch.contents / 4).square().mean())


def test_the_loss_is_the_weighted_sum_over_the_teachers(prepared: Callable[..., Run[Distillation]]) -> None:
    pair = {"teachers": (Path("dark"), Path("inverted")), "multi_style": "sum"}
    both = prepared(**pair, weights=(2.0, 0.5))
    module, batch = both.task.build(), both.batches(0)
    found = both.task.loss(module, batch)
    alone = [dataclasses.replace(batch, weights=batch.weights * torch.eye(2)[i]) for i in range(2)]
    for name in ("pixels", "features"):
        apart = [both.task.loss(module, one)[name] for one in alone]
        torch.testing.assert_close(found[name], apart[0] + apart[1])
        assert bool(apart[0] > 0)
    average = prepared(**(pair | {"multi_style": "average"}), weights=(2.0, 0.5))
    scaled = average.task.loss(module, average.batches(0))
    torch.testing.assert_close(scaled["pixels"], found["pixels"] / 2.5)


def test_teachers_get_no_gradient(
    distil_options: Options, short: FastFitOptions, learned_file: Path, tmp_path: Path
) -> None:

    ready = prepare_distil(distil_options(teachers=(learned_file,)), short)
    painter = ready.task.teachers[0].painter
    assert painter is not None
    (net,) = [network.net for network in painter.stylizer.networks.values()]  # type: ignore[attr-defined]
    before = {name: value.clone() for name, value in net.state_dict().items()}
    for _ in fit(ready.task, ready.batches, options=dataclasses.replace(short, steps=2), folder=tmp_path / "out"):
        pass
    assert all(parameter.grad is None for parameter in net.parameters())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert not painter(torch.rand(2, 3, 32, 32, requires_grad=True)).requires_grad


def test_the_rows_of_a_network_follow_their_teachers(
    prepared: Callable[..., Run[Distillation]], short: FastFitOptions, tmp_path: Path
) -> None:
    """A dark teacher and one that inverts: each row ends near its own, and between them lies what is between."""
    ready = prepared(teachers=(Path("dark"), Path("inverted")), widths=(8,), blocks=0, feature_weight=0.0)
    options = dataclasses.replace(short, steps=40, learning_rate=5e-2, average_decay=0)
    for _ in fit(ready.task, ready.batches, options=options, folder=tmp_path / "out"):
        pass
    images = ready.batches(999).contents
    shares = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
    with torch.no_grad():
        dark, inverted, between = (ready.task.network(images, row.expand(len(images), -1)) for row in shares)
    for own, other, wanted in ((dark, inverted, images / 4), (inverted, dark, 1 - images)):
        assert float((own - wanted).square().mean()) < 0.25 * float((other - wanted).square().mean())
    assert float(dark.mean()) < float(between.mean()) < float(inverted.mean())


def test_a_sample_shows_teachers_beside_the_network(
    distil_options: Options, short: FastFitOptions, painters: Painters, contents: Path, tmp_path: Path
) -> None:
    watching = dataclasses.replace(short, sample_every=2)
    folder = invert(contents, tmp_path / "results", but=("0", "1", "2", "3"))
    for multi_style, columns in (("conditional", 1 + 2 * 2), ("sum", 1 + 2 + 1)):
        options = distil_options(teachers=(folder, Path("dark")), multi_style=multi_style, short_side_px=64)
        task = prepare_distil(options, watching).task
        with torch.no_grad():
            cells = task.sample(task.build())
        assert cells.shape == (5, columns, 3, 32, 32)
        content, result, dark = cells[4, 0], cells[4, 1], cells[4, 3 if multi_style == "conditional" else 2]
        torch.testing.assert_close(result, 1 - content, atol=1e-6, rtol=0)
        torch.testing.assert_close(dark, content / 4, atol=1e-6, rtol=0)
        assert bool((cells[0, 1] == 1).all())  # no result of this one
