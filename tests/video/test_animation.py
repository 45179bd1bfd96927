from __future__ import annotations

import contextlib
from pathlib import Path

import av
import pytest
import torch
from PIL import Image

from impasto.core.errors import ImageUnwritable, OptionError
from impasto.video import animation


def frames() -> list[torch.Tensor]:
    """Growing pictures of one colour each, the red rising."""
    made = []
    for i in range(5):
        frame = torch.zeros(1, 3, 8 + 8 * i, 12 + 8 * i)
        frame[:, 0], frame[:, 1] = i / 4, 0.5
        made.append(frame)
    return made


def written(path: Path, size_hw: tuple[int, int]) -> list[torch.Tensor]:
    with animation.written(path, size_hw) as add:
        for frame in frames():
            add(frame)
    with av.open(str(path)) as file:
        return [torch.from_numpy(f.to_ndarray(format="rgb24")) for f in file.decode(video=0)]


@pytest.mark.parametrize(("suffix", "size_hw"), [(".gif", (41, 61)), (".mp4", (40, 60))])
def test_frames_of_any_size_come_back_in_one(tmp_path: Path, suffix: str, size_hw: tuple[int, int]) -> None:
    found = written(tmp_path / f"a{suffix}", (41, 61))
    assert {tuple(frame.shape) for frame in found} == {(*size_hw, 3)}
    for i, frame in enumerate(found[:5]):
        wanted = torch.tensor([255 * i / 4, 127.5, 0])
        assert (frame.float().mean(dim=(0, 1)) - wanted).abs().max() < 5
    assert [path.name for path in tmp_path.iterdir()] == [f"a{suffix}"]


def test_the_last_frame_stays(tmp_path: Path) -> None:
    assert len(written(tmp_path / "a.mp4", (32, 32))) == 5 + animation.HOLD_S * animation.RATE_HZ
    written(tmp_path / "a.gif", (32, 32))
    with Image.open(tmp_path / "a.gif") as gif:
        gif.seek(4)
        assert gif.info["duration"] == 1000 * animation.HOLD_S


def test_a_gif_has_a_longest_side(tmp_path: Path) -> None:
    with animation.written(tmp_path / "a.gif", (100, 2000)) as add:
        add(frames()[0])
    with Image.open(tmp_path / "a.gif") as gif:
        assert gif.size == (animation.GIF_LONG_SIDE_PX, 40)


def test_a_block_that_fails_or_has_no_frames_leaves_nothing(tmp_path: Path) -> None:
    for suffix in animation.WRITERS:
        path = tmp_path / f"a{suffix}"
        with contextlib.suppress(KeyboardInterrupt), animation.written(path, (32, 32)) as add:
            add(frames()[0])
            raise KeyboardInterrupt
        with animation.written(path, (32, 32)):
            pass
    assert list(tmp_path.iterdir()) == []


def test_errors_are_told(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"\.gif or \.mp4"), animation.written(tmp_path / "a.avi", (32, 32)):
        pass
    (tmp_path / "file").touch()
    with (
        pytest.raises(ImageUnwritable, match="cannot be written"),
        animation.written(tmp_path / "file" / "a.gif", (32, 32)) as add,
    ):
        add(frames()[0])


def test_an_error_of_the_block_is_not_taken_for_the_films(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), animation.written(tmp_path / "a.gif", (32, 32)):
        raise PermissionError


@pytest.mark.parametrize("steps", [1, 99, 100, 101, 500, 1234])
def test_there_are_about_a_hundred_frames(steps: int) -> None:
    taken = len([i for i in range(1, steps + 1) if i % animation.stride(steps) == 0])
    assert min(steps, 50) <= taken <= animation.FRAMES
