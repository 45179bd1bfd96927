"""`impasto batch` with its worker processes, and the folders of `impasto stylize`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from in_process import Run
from PIL import Image

from impasto.cli.bars import Bar


@pytest.fixture
def folder(here: Path) -> Path:
    (here / "in" / "sub").mkdir(parents=True)
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    for name, shade in (("a.jpg", 60), ("sub/b.jpg", 160)):
        Image.new("RGB", (48, 36), (shade, 90, 30)).save(here / "in" / name, exif=exif)
    return here / "in"


def test_a_batch_is_painted_once_and_goes_on(run: Run, quick: list[str], folder: Path) -> None:
    (folder / "bad.jpg").write_text("no picture")
    words = ["batch", folder, "--style", "style.png", *quick, "--format", "webp", "-o", "out", "--workers", "1"]
    done = run(*words, "--json", "--attempts", "1")
    assert done.code == 1
    assert "bad.jpg is not a picture" in done.err
    row = json.loads(done.out)
    assert (row["pictures"], row["done"], row["failed"], row["left"]) == (3, 2, 1, 0)
    assert set(row["this_run"]["mean_seconds"]) == {"reading", "painting", "writing"}
    first = {path: path.stat().st_mtime_ns for path in Path("out").rglob("*.webp")}
    assert {path.as_posix() for path in first} == {"out/a-style.webp", "out/sub/b-style.webp"}
    with Image.open("out/a-style.webp") as picture:
        assert picture.getexif()[0x010F] == "Maker"
    again = run(*words)
    assert "3 of 3 pictures are finished: 2 painted, 1 failed (--retry repeats them)" in again.err
    assert {path: path.stat().st_mtime_ns for path in Path("out").rglob("*.webp")} == first
    assert run("redo", "out/sub/b-style.webp", "-o", "again.webp", "--threads", "1").code == 0
    other = run(*words, "--strength", "0.5")
    assert (other.code, other.err.count("\n")) == (1, 1)
    assert "painted with other options (job.paint.strength). Add --beside" in other.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere", "-o", "out"], "nowhere does not exist"),
        (["in", "-o", "style.png"], "style.png is a file"),
        (["in", "-o", "out", "--devices", "4711"], "--devices is 4711, and PyTorch finds"),
        (["in", "-o", "out", "--snapshots", "2"], "--snapshots and --animation are for single pictures"),
        (["in", "-o", "out", "--style", "content.png", "--style", "a.png", "--pairs", "zip"], "there are 3 and 2"),
        (["in", "-o", "out", "--format", "jpg", "--bits", "16"], "cannot hold 16 bits"),
    ],
)
def test_batches_that_cannot_be(words: list[str], message: str, run: Run, quick: list[str], folder: Path) -> None:
    done = run("batch", *words, "--style", "style.png", *quick)
    assert done.code in (1, 2)
    assert message in done.err
    assert done.err.count("\n") == 1


def test_folders_say_how_many_and_how_long(
    run: Run, quick: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []
    waits: list[str] = []
    monkeypatch.setattr(Bar, "show", lambda self, done, total, text: shown.append(f"{done / total:.0%} {text}"))
    monkeypatch.setattr(Bar, "wait", lambda self, text: waits.append(text))
    words = ["--style", "style.png", "--style", "content.png", "--pairs", "all", "--format", "jpg"]
    done = run("stylize", folder, *words, *quick, "-o", "out")
    assert done.code == 0
    assert [Path(line).name for line in done.out.split()] == [
        *("a-style.jpg", "a-content.jpg", "b-style.jpg", "b-content.jpg")
    ]
    assert [text.split("  ")[0] for text in shown] == ["0% 1 of 4", "25% 2 of 4", "50% 3 of 4", "75% 4 of 4"]
    assert shown[-1].endswith(" left")
    with Image.open("out/sub/b-style.jpg") as picture:
        assert picture.getexif()[0x010F] == "Maker"
    assert waits == ["reading pictures and weights"]
    run("stylize", "content.png", "--style", "style.png", *quick, "-o", "one.png")
    assert waits[1:] == ["reading pictures and weights", "painting one.png"]
