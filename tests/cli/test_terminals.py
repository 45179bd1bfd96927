"""Terminals that have few letters, file names that are not UTF-8, and disks that are full: one clear line each."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from in_process import Run
from PIL import Image

from impasto.cli.main import main
from impasto.nets.residual import Residual
from impasto.weights.card import Card, save

if sys.platform == "win32":
    pytest.skip("file names and limits of POSIX", allow_module_level=True)

import resource

QUICK = ["--style", "wave", "--size", "48"]


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "ascii"])
@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--help"], 0),
        (["stylize", "--help"], 0),
        (["train", "arbitrary", "--help"], 0),
        (["models", "show", "compact-styles"], 0),
        (["stylize", "\N{SNOWMAN}.png", "--style", "wave", "-o", "out.png"], 1),
        (["stylize", "content.png", "--style", "caf\N{LATIN SMALL LETTER E WITH ACUTE}", "-o", "out.png"], 2),
    ],
)
def test_letters_that_a_terminal_lacks_are_escaped(
    encoding: str, words: list[str], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    streams = {name: io.TextIOWrapper(io.BytesIO(), encoding=encoding) for name in ("stdout", "stderr")}
    for name, stream in streams.items():
        monkeypatch.setattr(sys, name, stream)
    assert main(words) == code
    for stream in streams.values():
        stream.flush()
    said = [stream.buffer.getvalue().decode(encoding) for stream in streams.values()]  # type: ignore[attr-defined]
    assert "internal error" not in said[1]
    assert said[0 if code == 0 else 1]


def test_control_codes_are_masked(run: Run, here: Path) -> None:
    missing = run("stylize", "\x1b[31mred.png", "--style", "wave", "-o", "o.png")
    assert missing.code == 1
    assert "red.png does not exist" in missing.err
    Path("\x1b[31mred.png").write_bytes(Path("content.png").read_bytes())
    noted = run("stylize", "\x1b[31mred.png", *QUICK, "-o", "out.png")
    assert noted.code == 0
    styles = [{"name": "\x1b[31mone", "about": "\x1b]0;title\x07"}]
    network = {"architecture": "residual", "widths": [2, 3], "blocks": 1, "styles": 1}
    card = Card(kind="fast", name="\x1b[2Jcard", network=network, styles=styles)
    save(here / "card.safetensors", Residual(widths=(2, 3), blocks=1, styles=1).state_dict(), card=card)
    shown = run("models", "show", "card.safetensors")
    assert shown.code == 0
    assert "title" in shown.out
    for said in (missing.err, noted.err, shown.out, shown.err):
        assert "\x1b" not in said
        assert "\x07" not in said


def test_a_folder_with_a_name_that_is_not_utf_8(run: Run, here: Path) -> None:
    if sys.platform == "darwin":
        pytest.skip("its file systems have UTF-8 names only")
    os.mkdir("many")
    names = [b"many/a.png", b"many/caf\xe9.png", b"many/z.png"]
    for name in names:
        Path(os.fsdecode(name)).write_bytes(Path("content.png").read_bytes())
    done = run("stylize", "many", *QUICK, "-o", "out")
    assert done.code == 0, done.err
    assert sorted(os.listdir(b"out")) == [b"a-wave.png", b"caf\xe9-wave.png", b"z-wave.png"]
    assert "caf\\udce9" in done.out
    assert "internal error" not in done.err


@contextlib.contextmanager
def largest_file(size_bytes: int) -> Iterator[None]:
    """Any file beyond this size cannot be written, as on a full disk (the error is EFBIG)."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def names_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_full_disk_for_the_sidecar_keeps_the_picture(run: Run, here: Path) -> None:
    with largest_file(250):
        done = run("stylize", "content.png", "--style", "wave", "--exact", "8x8", "-o", "out.bmp")
    assert done.code == 1
    assert "cannot be written" in done.err
    assert done.err.count("\n") == 1
    assert names_in(here) == {"content.png", "style.png", "out.bmp"}


def test_a_full_disk_for_an_import(run: Run, here: Path, encoder_file: Path) -> None:
    with largest_file(100):
        done = run("models", "import", encoder_file, "--name", "mine")
    assert (done.code, "cannot be written" in done.err, done.err.count("\n")) == (1, True, 1)
    assert "mine" not in run("models", "list").out


def test_a_full_disk_for_a_saved_style(run: Run, here: Path) -> None:
    with largest_file(100):
        done = run("style", "save", "style.png", "-o", "kept.safetensors")
    assert (done.code, "cannot be written" in done.err, done.err.count("\n")) == (1, True, 1)
    assert names_in(here) == {"content.png", "style.png"}


@pytest.mark.parametrize("size_bytes", [50, 3000, 20_000])
def test_a_full_disk_for_a_training(run: Run, here: Path, encoder_file: Path, size_bytes: int) -> None:
    os.mkdir("photos")
    for name in ("photos/a.png", "photos/b.png"):
        Path(name).write_bytes(Path("content.png").read_bytes())
    Image.open("style.png").resize((96, 96)).save("large.png")
    words = ["--widths", "4,4,4", "--blocks", "1", "--crop-px", "32", "--style-px", "64", "--batch-size", "1"]
    words += ["--encoder", str(encoder_file), "--content-layers", "relu2_1", "--style-layers", "relu1_1"]
    words += ["--style-layer-weights", "1", "--steps", "1", "-o", "trained"]
    with largest_file(size_bytes):
        done = run("train", "fast", "--contents", "photos", "--styles", "large.png", *words)
    assert done.code == 1, done.err
    assert "internal error" not in done.err
    last = done.err.strip().splitlines()[-1]
    assert "cannot be written" in last or "File too large" in last
    assert not [name for name in names_in(here / "trained") if name.startswith(".")]
