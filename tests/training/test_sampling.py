"""Laws of sample pictures."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from regression import QUICK, WATCHED, Drawing, Regression, kept, run
from states import assert_equal
from torch import Tensor, nn

from impasto.core.errors import OptionError
from impasto.image import files
from impasto.training import sampling
from impasto.training.determinism import seeded
from impasto.training.fit import Sampled


def test_samples_disturb_nothing(tmp_path: Path) -> None:
    plain = run(Drawing(), tmp_path / "plain", replace(QUICK, steps=11))
    watched = run(Drawing(), tmp_path / "watched", replace(WATCHED, steps=11))
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
    run(Drawing(), tmp_path, WATCHED)
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("decay", [0.9, 0.0])
def test_a_sample_is_of_the_averaged_network(decay: float, tmp_path: Path) -> None:
    task = Drawing()
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
    whole, parts = Drawing(), Drawing()
    run(whole, tmp_path / "whole", WATCHED)
    run(parts, tmp_path / "parts", WATCHED, stop_after=6)
    run(parts, tmp_path / "parts", WATCHED)
    assert all(torch.equal(a, b) for a, b in zip(whole.seen, parts.seen, strict=True))


def test_samples_of_a_task_that_has_none(tmp_path: Path) -> None:
    assert isinstance(Drawing(), Sampled)
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
    run(Drawing(), tmp_path, WATCHED)
    picture = files.read(tmp_path / "samples" / "step-000012.png").pixels
    gap = sampling.GAP_PX
    assert picture.shape == (1, 3, 2 * 6 + gap, 2 * 8 + gap)
    assert bool((picture[..., 6 + gap :, 8:] == 1).all())  # three cells of four
    assert picture[..., :6, :8].std() > 0.1


def test_a_sheet_holds_each_cell() -> None:
    cells = torch.rand(5, 3, 4, 6)
    found = sampling.side_by_side(cells)
    gap = sampling.GAP_PX
    assert found.shape == (1, 3, 2 * 4 + gap, 3 * 6 + 2 * gap)
    for i in range(5):
        top, left = i // 3 * (4 + gap), i % 3 * (6 + gap)
        assert torch.equal(found[0, :, top : top + 4, left : left + 6], cells[i])
    assert torch.equal(sampling.side_by_side(cells[:1]), cells[:1])
    assert sampling.side_by_side(torch.full((1, 3, 2, 2), torch.nan)).tolist() == torch.zeros(1, 3, 2, 2).tolist()
