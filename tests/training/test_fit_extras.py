"""Laws of what the training loop can do besides: accumulation, samples, TensorBoard, devices, schedules."""

from __future__ import annotations

import io
import json
import math
import struct
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image
from test_fit import QUICK, Regression, assert_equal, kept, run, spoiled_at
from torch import Tensor, nn

from impasto.config.training import FitOptions
from impasto.core.errors import MissingExtra, OptionError, StateError
from impasto.image import files
from impasto.training import sampling
from impasto.training.determinism import deterministic, seeded
from impasto.training.fit import Sampled, fit, learning_rate
from impasto.training.microbatch import part_of

# Accumulation


@dataclass(frozen=True)
class Smooth(Regression):
    """A regression whose loss on a batch is the mean over its parts: no batch norm, no dropout."""

    def build(self) -> nn.Module:
        return nn.Sequential(nn.Linear(3, self.width), nn.Tanh(), nn.Linear(self.width, 1))


@pytest.mark.parametrize("accumulate", [2, 4, 8])
def test_parts_of_a_batch_give_what_the_whole_gives(accumulate: int, tmp_path: Path) -> None:
    whole = run(Smooth(), tmp_path / "whole")
    parts = run(Smooth(), tmp_path / "parts", replace(QUICK, accumulate=accumulate))
    for one, other in zip(whole, parts, strict=True):
        assert other.losses == pytest.approx(one.losses, rel=1e-4)
    for name, value in kept(tmp_path / "whole")["module"].items():
        torch.testing.assert_close(kept(tmp_path / "parts")["module"][name], value, atol=1e-4, rtol=1e-4)


@dataclass(frozen=True)
class DropoutAlone(Regression):
    """Keeps the loss of each part."""

    seen: list[float] = field(default_factory=list)

    def build(self) -> nn.Module:
        return nn.Sequential(nn.Linear(3, 16), nn.Dropout(0.5), nn.Linear(16, 1))

    def loss(self, module: nn.Module, batch: tuple[int, Tensor]) -> dict[str, Tensor]:
        found = super().loss(module, batch)
        self.seen.append(float(found["error"].detach()))
        return found


def test_parts_draw_noise_of_their_own(tmp_path: Path) -> None:
    def same(step: int) -> tuple[int, Tensor]:
        return step, torch.ones(8, 3)

    task = DropoutAlone()
    (row,) = fit(task, same, options=replace(QUICK, steps=1, accumulate=2), folder=tmp_path)
    one, other = task.seen
    assert one != pytest.approx(other, rel=1e-3)
    assert row.losses["error"] == pytest.approx((one + other) / 2)


def test_stopped_and_resumed_with_parts(tmp_path: Path) -> None:
    options = replace(QUICK, accumulate=2)
    run(Regression(), tmp_path / "whole", options)
    run(Regression(), tmp_path / "parts", options, stop_after=7)
    run(Regression(), tmp_path / "parts", options)
    assert_equal(kept(tmp_path / "whole"), kept(tmp_path / "parts"))


def test_a_part_that_is_not_finite_spoils_the_step(tmp_path: Path) -> None:
    turns: list[int] = []

    def spoil(step: int, loss: Tensor) -> Tensor:  # the first part of step 2
        turns.append(step)
        return loss * math.nan if step == 2 and turns.count(2) == 1 else loss

    rows = run(Regression(spoil=spoil), tmp_path, replace(QUICK, accumulate=2))
    assert [row.skipped for row in rows[:4]] == [0, 0, 1, 1]


# Parts of a batch


class Pair(NamedTuple):
    x: Tensor
    name: str


@dataclass(frozen=True)
class Nested:
    x: Tensor
    more: dict[str, Any]
    none: None = None
    derived: int = field(init=False, default=3)


def test_the_parts_are_the_whole() -> None:
    x = torch.arange(12.0).reshape(6, 2)
    batch = Nested(x, {"pair": Pair(x[:, 0], "n"), "list": [x, 5], "array": np.arange(6), "scalar": torch.tensor(1.0)})
    parts = [part_of(batch, i, count=3) for i in range(3)]
    assert torch.equal(torch.cat([part.x for part in parts]), x)
    assert torch.equal(torch.cat([part.more["pair"].x for part in parts]), x[:, 0])
    assert np.concatenate([part.more["array"] for part in parts]).tolist() == list(range(6))
    for part in parts:
        assert isinstance(part.more["pair"], Pair)
        assert (part.none, part.derived, part.more["pair"].name, part.more["list"][1]) == (None, 3, "n", 5)
        assert part.more["scalar"] == 1
    assert part_of(batch, 0, count=1) is batch


@pytest.mark.parametrize(("size", "count"), [(7, 2), (2, 4), (0, 2)])
def test_what_does_not_divide_is_refused(size: int, count: int) -> None:
    message = rf"a batch of {size} does not divide into {count} equal parts.*`batch_size` that is a multiple of {count}"
    with pytest.raises(OptionError, match=message):
        part_of((0, torch.zeros(size, 3)), 0, count=count)


def test_accumulation_that_does_not_divide_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="a batch of 8 does not divide into 3"):
        run(Regression(), tmp_path, replace(QUICK, accumulate=3))


# Samples


@dataclass(frozen=True)
class PreparedStylizer(Regression):
    """Draws random numbers, goes through the network in whatever mode it is in, and spoils what it was given."""

    seen: list[Tensor] = field(default_factory=list)

    def sample(self, module: nn.Module) -> Tensor:
        assert not module.training
        assert not torch.is_grad_enabled()
        self.seen.append(module(torch.rand(4, 3)))
        with torch.no_grad():
            for value in module.state_dict().values():
                value.zero_()
        module.train()
        return torch.rand(3, 3, 6, 8)


WATCHED = replace(QUICK, sample_every=4)


def test_samples_disturb_nothing(tmp_path: Path) -> None:
    plain = run(PreparedStylizer(), tmp_path / "plain", replace(QUICK, steps=11))
    watched = run(PreparedStylizer(), tmp_path / "watched", replace(WATCHED, steps=11))
    assert [replace(row, sample=None) for row in watched] == plain
    one, other = kept(tmp_path / "plain"), kept(tmp_path / "watched")
    assert other.pop("options") != one.pop("options")
    assert_equal(one, other)
    due = {4: "step-000004.png", 8: "step-000008.png", 11: "step-000011.png"}
    folder = tmp_path / "watched" / "samples"
    assert [row.sample for row in watched] == [folder / due[i] if i in due else None for i in range(1, 12)]
    assert sorted(path.name for path in folder.iterdir()) == sorted(due.values())
    assert not (tmp_path / "plain" / "samples").exists()


def test_samples_do_not_touch_the_callers_random_numbers(tmp_path: Path) -> None:
    before = torch.random.get_rng_state()
    run(PreparedStylizer(), tmp_path, WATCHED)
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("decay", [0.9, 0.0])
def test_a_sample_is_of_the_averaged_network(decay: float, tmp_path: Path) -> None:
    task = PreparedStylizer()
    run(task, tmp_path, replace(WATCHED, average_decay=decay, steps=6, sample_every=100))
    module = task.build()
    module.load_state_dict(kept(tmp_path)["average" if decay else "module"])
    with torch.no_grad(), seeded(QUICK.seed, torch.device("cpu")):
        expected = module.eval()(torch.rand(4, 3))
    (found,) = task.seen
    assert torch.equal(found, expected)
    other = task.build()
    other.load_state_dict(kept(tmp_path)["module"])
    with torch.no_grad(), seeded(QUICK.seed, torch.device("cpu")):
        assert torch.equal(found, other.eval()(torch.rand(4, 3))) is (decay == 0)


def test_samples_of_a_resumed_run_are_the_same(tmp_path: Path) -> None:
    whole, parts = PreparedStylizer(), PreparedStylizer()
    run(whole, tmp_path / "whole", WATCHED)
    run(parts, tmp_path / "parts", WATCHED, stop_after=6)
    run(parts, tmp_path / "parts", WATCHED)
    assert all(torch.equal(a, b) for a, b in zip(whole.seen, parts.seen, strict=True))


def test_samples_of_a_task_that_has_none(tmp_path: Path) -> None:
    assert isinstance(PreparedStylizer(), Sampled)
    assert not isinstance(Regression(), Sampled)
    with pytest.raises(OptionError, match="`sample_every` is 4, but this network makes no pictures"):
        run(Regression(), tmp_path, WATCHED)
    assert list(tmp_path.iterdir()) == []


@dataclass(frozen=True)
class Plain(Regression):
    """Shows its weights as colours."""

    def sample(self, module: nn.Module) -> Tensor:
        colours = module[0].weight[:1].sigmoid()  # type: ignore[index]
        return colours[..., None, None].expand(1, 3, 16, 16)


def test_the_animation_shows_every_sample(tmp_path: Path) -> None:
    animated = replace(WATCHED, animation=True)
    run(Plain(), tmp_path / "whole", animated)
    run(Plain(), tmp_path / "parts", animated, stop_after=9)
    path = tmp_path / "parts" / "samples.gif"
    with Image.open(path) as film:
        assert film.n_frames == 2  # type: ignore[attr-defined]
    run(Plain(), tmp_path / "parts", animated)
    with Image.open(path) as film:
        assert film.n_frames == 3  # type: ignore[attr-defined]
        for frame, step in enumerate((4, 8, 12)):
            film.seek(frame)
            sample = Image.open(tmp_path / f"parts/samples/step-{step:06d}.png").convert("RGB")
            assert np.array_equal(np.asarray(film.convert("RGB")), np.asarray(sample))
    assert path.read_bytes() == (tmp_path / "whole" / "samples.gif").read_bytes()
    with pytest.raises(OptionError, match="`animation` needs sample pictures"):
        run(Regression(), tmp_path / "none", replace(QUICK, animation=True))


def test_the_picture_of_a_sample(tmp_path: Path) -> None:
    run(PreparedStylizer(), tmp_path, WATCHED)
    picture = files.read(tmp_path / "samples" / "step-000012.png").pixels
    gap = sampling.GAP_PX
    assert picture.shape == (1, 3, 2 * 6 + gap, 2 * 8 + gap)
    assert bool((picture[..., 6 + gap :, 8:] == 1).all())  # three cells of four
    assert picture[..., :6, :8].std() > 0.1


def test_a_sheet_holds_each_cell() -> None:
    cells = torch.rand(5, 3, 4, 6)
    found = sampling.sheet(cells)
    gap = sampling.GAP_PX
    assert found.shape == (1, 3, 2 * 4 + gap, 3 * 6 + 2 * gap)
    for i in range(5):
        top, left = i // 3 * (4 + gap), i % 3 * (6 + gap)
        assert torch.equal(found[0, :, top : top + 4, left : left + 6], cells[i])
    assert torch.equal(sampling.sheet(cells[:1]), cells[:1])
    assert sampling.sheet(torch.full((1, 3, 2, 2), torch.nan)).tolist() == torch.zeros(1, 3, 2, 2).tolist()


# TensorBoard

BOARD = replace(QUICK, tensorboard=True, log_every=2)


def events(folder: Path) -> list[Any]:
    """Every event of a run's event files, in order of time: records of length, checksum, bytes, checksum."""
    from tensorboardX.proto import event_pb2

    found = []
    for path in sorted((folder / "tensorboard").iterdir()):
        data = path.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            found.append(event_pb2.Event.FromString(data[12 : 12 + length]))
            data = data[12 + length + 4 :]
    return found


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard shows: steps and values by name, without those that a later start has made void."""
    found: dict[str, list[tuple[int, float]]] = {}
    for event in events(folder):
        if event.HasField("session_log") and event.session_log.status == event.session_log.START:
            found = {name: [row for row in rows if row[0] < event.step] for name, rows in found.items()}
        for value in event.summary.value:
            found.setdefault(value.tag, []).append((event.step, value.simple_value))
    return found


def test_scalars_are_those_of_the_log(tmp_path: Path) -> None:
    rows = run(Regression(), tmp_path, BOARD)
    found = scalars(tmp_path)
    assert found.keys() == {"loss/error", "loss/small", "total", "learning_rate", "gradient_norm"}
    due = [row for row in rows if row.step % 2 == 0]
    assert found["learning_rate"] == [(row.step, pytest.approx(row.learning_rate)) for row in due]
    assert found["loss/error"] == [(row.step, pytest.approx(row.losses["error"])) for row in due]
    assert found["total"] == [(row.step, pytest.approx(sum(row.losses.values()))) for row in due]
    assert all(value > 0 for _, value in found["gradient_norm"])
    logged = [json.loads(line)["step"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [step for step, _ in found["total"]] == logged


def test_scalars_of_a_resumed_run_come_once(tmp_path: Path) -> None:
    run(Regression(), tmp_path / "whole", BOARD)
    run(Regression(), tmp_path / "parts", BOARD, stop_after=9)
    assert [step for step, _ in scalars(tmp_path / "parts")["total"]] == [2, 4, 6, 8]
    run(Regression(), tmp_path / "parts", BOARD)  # from step 5
    assert len(list((tmp_path / "parts/tensorboard").iterdir())) == 2
    assert scalars(tmp_path / "parts") == scalars(tmp_path / "whole")


def test_samples_are_pictures_of_tensorboard(tmp_path: Path) -> None:
    run(PreparedStylizer(), tmp_path, replace(WATCHED, tensorboard=True))
    shown = {
        event.step: value.image for event in events(tmp_path) for value in event.summary.value if value.tag == "samples"
    }
    assert sorted(shown) == [4, 8, 12]
    for step, image in shown.items():
        found = np.asarray(Image.open(io.BytesIO(image.encoded_image_string)).convert("RGB"))
        sample = np.asarray(Image.open(tmp_path / f"samples/step-{step:06d}.png"))
        assert np.array_equal(found, sample)


def test_what_is_not_finite_is_left_out(tmp_path: Path) -> None:
    run(Regression(spoil=spoiled_at(3)), tmp_path, BOARD)
    found = scalars(tmp_path)
    assert [step for step, _ in found["loss/error"]] == [2, 6, 8, 10, 12]
    assert [step for step, _ in found["learning_rate"]] == [2, 4, 6, 8, 10, 12]


def test_tensorboard_needs_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(MissingExtra, match=r"`tensorboard` needs tensorboardX: pip install 'impasto\[train\]'"):
        run(Regression(), tmp_path, BOARD)


# Schedules, options, devices


def test_the_inverse_learning_rate() -> None:
    options = replace(QUICK, schedule="inverse", decay=0.01, learning_rate=1.0, warmup_steps=0, steps=1000)
    assert learning_rate(0, options) == 1
    assert learning_rate(100, options) == pytest.approx(0.5)
    assert learning_rate(300, options) == pytest.approx(0.25)
    assert learning_rate(0, replace(options, warmup_steps=4)) == 0.25


@pytest.mark.parametrize(
    "other", [{"sample_every": 3}, {"tensorboard": True}, {"device": "cpu"}, {"log_every": 5, "checkpoint_every": 2}]
)
def test_what_changes_no_weights_may_change(other: dict[str, Any], tmp_path: Path) -> None:
    run(PreparedStylizer(), tmp_path / "whole")
    run(PreparedStylizer(), tmp_path / "parts", stop_after=6)
    assert run(PreparedStylizer(), tmp_path / "parts", replace(QUICK, **other))[0].step == 7
    assert_equal(kept(tmp_path / "whole")["module"], kept(tmp_path / "parts")["module"])


@pytest.mark.parametrize("other", [{"accumulate": 2}, {"decay": 0.1}, {"schedule": "inverse"}])
def test_what_changes_weights_may_not(other: dict[str, Any], tmp_path: Path) -> None:
    run(Regression(), tmp_path)
    with pytest.raises(StateError, match=f"another {next(iter(other))}"):
        run(Regression(), tmp_path, replace(QUICK, **other))


def test_a_checkpoint_from_before_an_option_resumes(tmp_path: Path) -> None:
    run(Regression(), tmp_path / "whole")
    run(Regression(), tmp_path / "parts", stop_after=6)
    old = kept(tmp_path / "parts")
    for name in ("accumulate", "decay", "device", "sample_every", "tensorboard"):
        del old["options"][name]
    torch.save(old, tmp_path / "parts" / "checkpoint.pt")
    with pytest.raises(StateError, match="another accumulate"):
        run(Regression(), tmp_path / "parts", replace(QUICK, accumulate=2))
    assert run(Regression(), tmp_path / "parts")[0].step == 7
    assert_equal(kept(tmp_path / "whole"), kept(tmp_path / "parts"))


def test_on_cuda_kernels_have_one_order() -> None:
    before = torch.are_deterministic_algorithms_enabled()
    with deterministic(torch.device("cpu")):
        assert torch.are_deterministic_algorithms_enabled() is before
    for outside in (False, True):
        torch.use_deterministic_algorithms(outside)
        with deterministic(torch.device("cuda")):
            assert torch.are_deterministic_algorithms_enabled()
            assert torch.is_deterministic_algorithms_warn_only_enabled()
        assert torch.are_deterministic_algorithms_enabled() is outside
    torch.use_deterministic_algorithms(before)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_on_cuda_stopped_and_resumed_is_the_same(tmp_path: Path) -> None:
    options = replace(QUICK, device="cuda")
    whole = run(Regression(), tmp_path / "whole", options)
    run(Regression(), tmp_path / "parts", options, stop_after=7)
    assert run(Regression(), tmp_path / "parts", options) == whole[7:]
    assert_equal(kept(tmp_path / "whole"), kept(tmp_path / "parts"))
    assert whole[0].device.startswith("cuda:0")


def test_the_file_of_a_checkpoint_is_as_it_was(tmp_path: Path) -> None:
    run(Regression(), tmp_path)
    assert kept(tmp_path).keys() == {"module", "optimizer", "average", "step", "skipped", "options"}


@dataclass(frozen=True, kw_only=True)
class OtherDefaults(FitOptions):
    """Options of another training, with a field of its own."""

    schedule: str = "inverse"
    more: int = 3


def test_options_with_other_defaults_resume(tmp_path: Path) -> None:
    options = OtherDefaults(**(QUICK.to_dict() | {"schedule": "inverse"}))
    run(Regression(), tmp_path / "whole", options)
    run(Regression(), tmp_path / "parts", options, stop_after=6)
    assert run(Regression(), tmp_path / "parts", options)[0].step == 7
    assert_equal(kept(tmp_path / "whole"), kept(tmp_path / "parts"))
    with pytest.raises(StateError, match="another more"):
        run(Regression(), tmp_path / "parts", replace(options, more=4))
