"""`impasto video`, `redo` and `evaluate` of films, end to end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from in_process import Run
from skimage import data, transform

from impasto.config.job import Job
from impasto.config.video import VideoOptions
from impasto.core.errors import StateError
from impasto.image import files
from impasto.video.film_session import film_again, film_options, open_film
from impasto.video.painting import Following, Several
from impasto.video.source import opened

Make = Callable[..., Job]


def make_film(path: Path, count: int = 6, *, sound: bool = False, size_hw: tuple[int, int] = (48, 64)) -> Path:
    """A camera that moves over a photograph by one pixel a frame."""
    wide = transform.resize(data.astronaut(), (size_hw[0], size_hw[1] + count), anti_aliasing=True)
    levels = (wide * 255).round().astype(np.uint8)
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=25, options={"crf": "4"})
        stream.width, stream.height, stream.pix_fmt = size_hw[1], size_hw[0], "yuv420p"
        audio = file.add_stream("aac", rate=48_000) if sound else None
        for i in range(count):
            picture = np.ascontiguousarray(levels[:, i : i + size_hw[1]])
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        file.mux(stream.encode(None))
        if audio is not None:
            for start in range(0, 48_000 * count // 25, 1024):
                made = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
                made.sample_rate, made.pts, made.time_base = 48_000, start, Fraction(1, 48_000)
                file.mux(audio.encode(made))
            file.mux(audio.encode(None))
    return path


def frames_of(path: Path) -> list[np.ndarray]:  # type: ignore[type-arg]
    with av.open(str(path)) as file:
        return [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]


@pytest.fixture
def net(network_file: Path) -> list[str]:
    return ["--network", str(network_file), "--precision", "float32", "--style", "style.png"]


def test_a_film_is_painted_with_its_sound_and_made_again(run: Run, here: Path, net: list[str]) -> None:
    make_film(here / "in.mp4", sound=True)
    done = run("video", "in.mp4", "out.mp4", *net, "--json")
    assert done.code == 0, done.err
    row = json.loads(done.out)
    assert (row["frames"], row["size"], row["method"], row["stopped"]) == (6, [64, 48], "arbitrary", False)
    with av.open(str(here / "out.mp4")) as file:
        assert [stream.type for stream in file.streams] == ["video", "audio"]
    painted, source = frames_of(here / "out.mp4"), frames_of(here / "in.mp4")
    assert len(painted) == 6
    assert np.abs(painted[0].astype(int) - source[0]).mean() > 5
    assert run("redo", "out.mp4", "-o", "again.mp4").code == 0
    for one, other in zip(painted, frames_of(here / "again.mp4"), strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("output", ["out.gif", "out.webp", "frames"])
def test_animated_pictures_and_folders_can_be_made_again(run: Run, here: Path, net: list[str], output: str) -> None:
    make_film(here / "in.mp4")
    assert run("video", "in.mp4", output, *net, "--end", "0.12").code == 0
    job, options = film_again(here / output)
    assert Path(job.content) == (here / "in.mp4").resolve()
    assert options.end == 0.12
    assert len(list(opened(here / output).stored())) == 3


def test_a_folder_of_frames_becomes_a_film(run: Run, here: Path, net: list[str]) -> None:
    make_film(here / "in.mp4")
    assert run("video", "in.mp4", "frames", *net).code == 0
    assert run("video", "frames", "out.mkv", *net, "--fps", "10").code == 0
    assert opened(here / "out.mkv").rate == 10
    assert len(frames_of(here / "out.mkv")) == 6


def test_a_tiny_size_and_part_are_painted(run: Run, here: Path, net: list[str]) -> None:
    make_film(here / "in.mp4", 12)
    done = run("video", "in.mp4", "out.mp4", *net, "--size", "33", "--start", "0.08", "--every", "2", "--json")
    assert json.loads(done.out)["size"] == [32, 24]
    assert json.loads(done.out)["frames"] == 5


def test_trained_styles_and_optimisation_paint_films(run: Run, here: Path, tiny: list[str]) -> None:
    make_film(here / "in.mp4", 3)
    assert run("video", "in.mp4", "one.mp4", "--style", "wave").code == 0
    assert run("video", "in.mp4", "two.mp4", "--style", "style.png", *tiny, "--temporal-weight", "20").code == 0
    assert len(frames_of(here / "one.mp4")) == len(frames_of(here / "two.mp4")) == 3


def test_strength_0_gives_the_film_back(run: Run, here: Path, net: list[str]) -> None:
    make_film(here / "in.mp4")
    assert run("video", "in.mp4", "out.mkv", *net, "--strength", "0", "--steady", "0", "--codec", "ffv1").code == 0
    one, two = next(iter(opened("in.mp4").stored())).open(), next(iter(opened("out.mkv").stored())).open()
    assert (one.pixels - two.pixels).abs().max() < 1.1 / 255


def test_frames_that_do_not_fit_into_memory_are_painted_with_force(
    run: Run, here: Path, net: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_film(here / "in.mp4", 2)
    monkeypatch.setattr("impasto.session.memory.LARGE_BYTES", 0)
    monkeypatch.setattr("impasto.session.memory.available_bytes", lambda: 0)
    refused = run("video", "in.mp4", "out.mp4", *net)
    assert (refused.code, refused.err.count("\n")) == (1, 1)
    assert "--force" in refused.err
    assert not (here / "out.mp4").exists()
    assert run("video", "in.mp4", "out.mp4", *net, "--force").code == 0
    assert len(frames_of(here / "out.mp4")) == 2


def test_a_preview_is_painted_first(run: Run, here: Path, net: list[str]) -> None:
    make_film(here / "in.mp4", 10)
    assert run("video", "in.mp4", "out.mkv", *net, "--steady", "0", "--codec", "ffv1", "--preview", "5").code == 0
    sheet = files.read(here / "out-preview.png").pixels
    assert sheet.shape[-1] > sheet.shape[-2] > 4 * 240  # two rows of frames of 320 × 240 px, each with its painting
    assert len(frames_of(here / "out.mkv")) == 10
    assert run("video", "in.mp4", "out.mkv", *net, "--preview", "0").code == 2


def test_key_frames_and_a_film_of_masks_are_made_again(run: Run, here: Path, net: list[str]) -> None:
    make_film(here / "in.mp4")
    make_film(here / "mask.mp4")
    (here / "keys.toml").write_text("[[keyframe]]\ntime = 0\nstrength = 0\n[[keyframe]]\ntime = 0.2\nstrength = 1\n")
    words = [*net, "--mask", "mask.mp4", "--keyframes", "keys.toml"]
    assert run("video", "in.mp4", "out.mp4", *words).code == 0
    (here / "keys.toml").unlink()  # the recipe has the key frames themselves
    assert run("redo", "out.mp4", "-o", "again.mp4").code == 0
    for one, other in zip(frames_of(here / "out.mp4"), frames_of(here / "again.mp4"), strict=True):
        assert np.array_equal(one, other)
    missing = run("video", "in.mp4", "out2.mp4", *words)
    assert (missing.code, "keys.toml cannot be read" in missing.err) == (2, True)


@pytest.mark.parametrize("words", [[], ["--method", "optimise"]])
def test_a_preview_shows_the_films_own_frames(here: Path, quick_job: Make, small_job: Make, words: list[str]) -> None:
    make_film(here / "in.mp4", 10)
    job = small_job(content="in.mp4") if words else quick_job(content="in.mp4")
    session = open_film(job, "out.mp4", options=VideoOptions(start=0.1, end=0.3))
    samples = list(session.sampled(2))
    assert [round(frame.time_s * 25) for frame, _ in samples] == [3, 6]
    if not words:
        paint = session.alone().painter()
        assert not isinstance(paint, Following | Several)
        assert all(torch.equal(paint(frame, 0), painting) for frame, painting in samples)


def test_evaluate_compares_with_source_and_frame_by_frame(run: Run, here: Path, net: list[str]) -> None:
    make_film(here / "in.mp4", 12)
    assert run("video", "in.mp4", "out.mp4", *net).code == 0
    assert run("video", "in.mp4", "plain.mp4", *net, "--steady", "0").code == 0
    done = run("evaluate", "--video", "out.mp4", "--content", "in.mp4", "--frame-by-frame", "plain.mp4", "--json")
    rows = json.loads(done.out)["measures"]
    assert list(rows) == ["output", "frame by frame", "source"]
    assert rows["output"]["warping_1"] <= rows["frame by frame"]["warping_1"]
    assert rows["source"]["drift"] == 0
    assert {"warping_5", "warping_10", "sharpness", "edges", "flicker", "frames"} <= rows["output"].keys()
    shown = run("evaluate", "out.mp4", "--video", "--content", "in.mp4").out
    assert "warping 10" in shown
    assert "source" in shown


def test_evaluate_takes_the_frames_that_were_painted(run: Run, here: Path, net: list[str]) -> None:
    make_film(here / "in.mp4", 12)
    assert (
        run(
            "video", "in.mp4", "out.mkv", *net, "--start", "0.2", "--strength", "0", "--steady", "0", "--codec", "ffv1"
        ).code
        == 0
    )
    rows = json.loads(run("evaluate", "--video", "out.mkv", "--content", "in.mp4", "--json").out)["measures"]
    assert rows["output"]["warping_1"] == pytest.approx(rows["source"]["warping_1"], abs=2e-4)


def test_ctrl_c_leaves_a_film_and_the_same_command_finishes_it(here: Path, net: list[str]) -> None:
    make_film(here / "in.mp4", 150, size_hw=(96, 128), sound=True)
    command = [sys.executable, "-m", "impasto", "video", "in.mp4", "out.mp4", *net, "--threads", "1", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ})
    folder = here / ".out.mp4.parts"
    until = time.monotonic() + 60
    while not list(folder.glob("*/00000.part")) and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    reached = json.loads(out)["frames"]
    assert 0 < reached < 150
    assert len(frames_of(here / "out.mp4")) == reached
    again = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["painted"] == 150 - reached
    assert len(frames_of(here / "out.mp4")) == 150
    assert not folder.exists()


# Bad input


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["none.mp4", "out.mp4"], 1, "none.mp4 does not exist"),
        (["content.png", "out.avi"], 2, "ending of a film"),
        (["text.mp4", "out.mp4"], 1, "cannot be read as a film"),
        (["in.mp4", "in.mp4"], 2, "is one of the inputs"),
        (["in.mp4", "out.mp4", "--crf", "60"], 2, "h264 takes 0"),
        (["in.mp4", "out.mp4", "--codec", "vp8"], 2, "vp8"),
        (["in.mp4", "out.webm"], 1, "audio is aac"),
        (["in.mp4", "out.mp4", "--start", "5"], 1, "no frames between --start and --end"),
        (["in.mp4", "out.mp4", "--start", "2", "--end", "1"], 2, "the end must be later"),
        (["in.mp4", "style.png/out.mp4"], 1, "the film cannot be written to"),
    ],
)
def test_bad_input_is_told(run: Run, here: Path, net: list[str], words: list[str], code: int, message: str) -> None:
    make_film(here / "in.mp4", sound=True)
    (here / "text.mp4").write_text("no film")
    done = run("video", *words, *net)
    assert message in done.err
    assert done.code == code
    assert done.err.count("\n") == 1
    assert not (here / "out.mp4").exists()


def test_films_without_recipe_and_wrong_evaluations_are_told(run: Run, here: Path, net: list[str]) -> None:
    make_film(here / "in.mp4")
    make_film(here / "long.mp4", 9)
    with pytest.raises(StateError, match="carries no recipe"):
        film_options(here / "in.mp4")
    assert "carries no recipe" in run("redo", "in.mp4", "-o", "again.mp4").err
    assert "--content is missing" in run("evaluate", "--video", "in.mp4").err
    assert "more frames than" in run("evaluate", "--video", "long.mp4", "--content", "in.mp4").err
    words = ["--content", "content.png", "--style", "style.png", "--frame-by-frame", "in.mp4"]
    assert "--frame-by-frame is for a film" in run("evaluate", "content.png", *words).err
