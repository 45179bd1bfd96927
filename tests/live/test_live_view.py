"""The live view as a whole, from a film or a camera, to its ways out."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from clips import film, panned, seen

from impasto.cli.main import main
from impasto.config.job import Job, StyleSource
from impasto.config.live import LiveOptions
from impasto.core.errors import ImageTooLarge, OptionError, VideoUnreadable
from impasto.image import files
from impasto.image.pixels import from_bytes
from impasto.live.capture import Captured, Levels
from impasto.live.opening import open_view
from impasto.live.painter import LivePainter
from impasto.live.view import View
from impasto.session import memory
from impasto.session.device import with_threads

Make = Callable[..., Job]
FRAMES = panned(12, size_hw=(90, 160))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return film(tmp_path / "in.mp4", FRAMES)


@pytest.fixture
def opened(learned_job: Make, save_learned: Callable[..., Path], source: Path, tmp_path: Path) -> Callable[..., View]:
    """`opened(paint_size=…)`: a view of the film in two untrained styles, without a window."""

    def made(**options: Any) -> View:
        network = save_learned(tmp_path / "two.safetensors", styles=("one", "two"))
        styles = tuple(StyleSource(source=f"{network}#{name}") for name in ("one", "two"))
        job = learned_job(content=str(source), styles=styles)
        given = {"screen": "none", "paint_size": 80, "folder": tmp_path, **options}
        return open_view(job, LiveOptions(**given), on_note=lambda note: None)

    return made


class Frames:
    """A source that gives each frame when the one before has been shown, so that none is dropped."""

    size_hw = (90, 160)

    def __init__(self, count: int, *, error: Exception | None = None) -> None:
        self.count, self.error, self.shown = count, error, threading.Semaphore(1)

    def frames(self, stopping: threading.Event) -> Iterator[Captured]:
        for index in range(self.count):
            while not self.shown.acquire(timeout=0.1):
                if stopping.is_set():
                    return
            yield Captured(time.monotonic(), lambda index=index: FRAMES[index % 12])  # type: ignore[misc]
        if self.error is not None:
            raise self.error


class Watch:
    """A screen that presses a key after each picture and lets the next frame come."""

    def __init__(self, source: Frames, keys: str = "") -> None:
        self.source, self.keys, self.pictures, self.closed = source, list(keys), list[Levels](), False

    def show(self, levels: Levels | None) -> str:
        if levels is None:
            return ""
        self.pictures.append(levels.copy())
        self.source.shown.release()
        return self.keys.pop(0) if self.keys else ""

    def close(self) -> None:
        self.closed = True


def watched(view: View, count: int, keys: str = "i", *, error: Exception | None = None) -> Watch:
    view.source = Frames(count, error=error)
    view.screen = watch = Watch(view.source, keys)
    return watch


def test_a_film_without_a_window_runs_to_its_end(opened: Callable[..., View]) -> None:
    report = opened().run()
    assert report.frames + report.dropped == 12
    assert report.frames >= 1
    assert report.latency_ms_p99 >= report.latency_ms_median > 0


def test_a_picture_of_the_size_that_is_painted_is_what_the_network_paints(opened: Callable[..., View]) -> None:
    view = opened(paint_size=160, steady=0.0)
    watch = watched(view, 2, "i")
    view.run()
    session = view.painter.session
    from impasto.stylizers.protocol import Mix

    code = session.stylizer.prepare(Mix(session.inputs.mix.styles[:1]))
    *_, last = session.stylizer.paint(from_bytes(FRAMES[1]), code)
    expected = last.picture()
    assert (from_bytes(watch.pictures[1]) - expected).abs().max() <= 0.51 / 255
    assert watch.closed


def test_keys_change_the_picture(opened: Callable[..., View]) -> None:
    """Mirror, freeze, split view, strength 0, next style: each seen in what is shown, some frames after the key."""

    def shown(keys: str, **options: Any) -> list[Levels]:
        view = opened(steady=0.0, **options)
        watch = watched(view, 8, "i" + keys)
        view.run()
        return watch.pictures

    plain, other = shown(""), shown("n")
    assert not np.array_equal(plain[-1], other[-1])
    blended, weaker = shown("]" * 3), shown("-")
    assert not np.array_equal(plain[-1], blended[-1])
    assert not np.array_equal(plain[-1], weaker[-1])
    frozen = shown("f")
    assert np.array_equal(frozen[-1], frozen[-2])
    assert not np.array_equal(plain[-1], plain[-2])
    split = shown("v")
    assert np.array_equal(split[-1][:, :80], FRAMES[7][:, :80])
    assert np.array_equal(split[-1][:, 80:], plain[-1][:, 80:])
    mirrored = shown("v", mirror=True)
    assert np.array_equal(mirrored[-1][:, :80], FRAMES[7][:, ::-1][:, :80])
    untouched = shown("-" * 4 + "v", mirror=False)
    assert len(untouched) == 8


def test_a_key_ends_the_view(opened: Callable[..., View]) -> None:
    view = opened()
    watch = watched(view, 1000, "xxq")
    assert view.run().frames == 3
    assert watch.closed
    stopped = opened()
    watched(stopped, 1000)
    assert stopped.run(lambda: True).frames == 0


def test_snapshots_and_recordings_by_key(opened: Callable[..., View], tmp_path: Path) -> None:
    view = opened(steady=0.5)
    watch = watched(view, 8, "isrxxrsr")
    notes: list[str] = []
    view.on_note = notes.append
    view.run()
    first = files.read(tmp_path / "snapshot-1.png").pixels
    assert any(torch.equal(first, from_bytes(picture)) for picture in watch.pictures)
    assert (tmp_path / "snapshot-2.png").is_file()
    assert 1 <= len(seen(tmp_path / "recording-1.mp4")[0]) <= 4
    assert len(notes) == 3
    assert not list(tmp_path.glob(".*"))


def test_an_unplugged_camera_leaves_a_recording(opened: Callable[..., View], tmp_path: Path) -> None:
    view = opened(record=tmp_path / "a.mp4")
    watch = watched(view, 5, error=VideoUnreadable("was it unplugged?"))
    with pytest.raises(VideoUnreadable, match="unplugged"):
        view.run()
    assert len(seen(tmp_path / "a.mp4")[0]) == 5
    assert watch.closed


def test_a_still_picture_is_steady(opened: Callable[..., View]) -> None:
    view = opened(steady=0.9)
    watch = watched(view, 6)
    view.source.frames = lambda stopping: iter(())  # type: ignore[method-assign]
    small = view.painter.reduced(FRAMES[0])
    noisy = [
        np.clip(small.astype(int) + np.random.default_rng(i).integers(-6, 7, small.shape), 0, 255) for i in range(6)
    ]
    changes = []
    for steady in (0.9, 0.0):
        painter = opened(steady=steady).painter
        made = [painter.paint(n.astype(np.uint8), view.controls, at_s=i / 25).result() for i, n in enumerate(noisy)]
        changes.append(float(torch.stack([(a - b).abs().mean() for a, b in pairwise(made)]).mean()))
    assert changes[0] < 0.6 * changes[1]
    assert watch.pictures == []


def test_frames_that_are_painted_while_others_are_steadied_come_out_the_same(opened: Callable[..., View]) -> None:
    films = []
    for waits in (True, False):
        view = opened()
        made = []
        for index, frame in enumerate(FRAMES):
            future = view.painter.paint(view.painter.reduced(frame), view.controls, at_s=index / 25)
            made.append(future)
            if waits:
                future.result()
        films.append(torch.cat([future.result() for future in made]))
    assert torch.equal(*films)


def test_the_network_leaves_a_thread_to_the_other_stages(
    opened: Callable[..., View], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    paint = LivePainter.paint

    def counted(self: LivePainter, *args: Any, **options: Any) -> Any:
        found.append(torch.get_num_threads())
        return paint(self, *args, **options)

    monkeypatch.setattr(LivePainter, "paint", counted)
    for threads in (1, 3):
        with with_threads(threads):
            opened().run()
            assert torch.get_num_threads() == threads
    assert set(found) == {1, 2}


# What cannot be


def test_what_cannot_be_shown_is_told(
    opened: Callable[..., View], small_job: Make, quick_job: Make, source: Path, there: Path, tmp_path: Path
) -> None:
    styles = (StyleSource(source=str(there / "style.png"), weight=0.5),)
    weighted = quick_job(content=str(source), styles=styles)
    with pytest.raises(OptionError, match="ending of a film"):
        opened(record=tmp_path / "a.avi")
    job = small_job(content=str(source))
    with pytest.raises(OptionError, match="paints step by step"):
        open_view(job, LiveOptions(screen="none"), on_note=print)
    with pytest.raises(OptionError, match="shows one style at a time"):
        open_view(weighted, LiveOptions(screen="none"), on_note=print)
    with pytest.raises(VideoUnreadable, match=r"none\.mp4 does not exist"):
        open_view(small_job(content="none.mp4"), LiveOptions(screen="none"), on_note=print)


def test_too_large_a_painting_names_the_option_that_live_has(
    opened: Callable[..., View], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "LARGE_BYTES", 0)
    monkeypatch.setattr(memory, "available_bytes", lambda: 0)
    with pytest.raises(ImageTooLarge, match=r"0\.0 GB are free\. \d+×\d+ px fit \(`paint_size=\d+`\)\.$"):
        opened()


def test_a_camera_without_any_way_out_is_refused(opened: Callable[..., View], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("impasto.live.opening.source_named", lambda text, **options: Frames(1))
    monkeypatch.setattr("impasto.live.opening.is_camera", lambda text: True)
    with pytest.raises(OptionError, match="the painted camera picture has no output"):
        opened()
    assert opened(serve=True, port=0).page is not None


def test_the_command(
    source: Path, there: Path, network_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["live", str(source), "--style", str(there / "style.png"), "--network", str(network_file)]
    assert main([*words, "--screen", "none", "--paint-size", "80", "--json", "--record", str(tmp_path / "r.mkv")]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["frames"] + row["dropped"] == 12
    assert row["size"] == [160, 90]
    assert {"fps", "latency_ms_median", "latency_ms_p99"} <= row.keys()
    assert len(seen(tmp_path / "r.mkv")[0]) >= 1
    assert main([*words[:1], "none.mp4", *words[2:], "--screen", "none"]) == 1
    assert "none.mp4 does not exist" in capsys.readouterr().err
