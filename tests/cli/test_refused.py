"""Option values that would be rounded, passed over or contradict each other are refused, in one line that says why."""

from __future__ import annotations

import contextlib
import errno
from pathlib import Path

import pytest
from in_process import Run

from impasto.cli.failures import described
from impasto.cli.main import main
from impasto.config.optimise import OptimiseOptions
from impasto.config.pictures import SizeOptions
from impasto.core.errors import OptionError
from impasto.session.request import job_from
from impasto.styles.weighted import split_weight

HUGE = "99999999999999999999"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--size", "0.5"], "--size has '0.5'; a whole number is needed"),
        (["--size", ""], "the word after --size is empty"),
        (["--exact", "40x40", "--size", "30"], "--size and --exact are both given"),
        (["--short-side", "40", "--megapixels", "1"], "--short-side and --megapixels are both given"),
        (["--optimizer", "adam", "--history", "5"], "--history has no effect on --optimizer adam"),
        (["--learning-rate", "0.1"], "--learning-rate has no effect on --optimizer lbfgs"),
        (["--style-layers", ""], "the word after --style-layers is empty"),
        (["--content-layers="], "--content-layers= is empty"),
        (["--style-layers", ","], "--style-layers is empty"),
        (["--steps", HUGE], "steps is 1e+20; it must be between 1 and 1e+06"),
        (["--seed", HUGE], "seed is 1e+20; it must be between 0 and"),
        (["--style", ""], "the word after --style is empty"),
        (["--style", "other.jpg:x"], "there is no file other.jpg:x, and 'x' is not a weight; a number is"),
        (["--style", "wave:half"], "'half' is not a weight; a number is, as in wave:0.5"),
    ],
)
def test_before_anything_is_painted(words: list[str], said: str, run: Run) -> None:
    done = run("stylize", "content.png", "--style", "style.png", "--method", "optimise", *words, "-o", "out.png")
    assert done.code == 2
    assert said in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("command", "words", "said"),
    [
        ("stylize", ["content.png", "--style", "style.png", "--memory-gb", "1e300"], "--memory-gb is 1e+300; it must"),
        ("stylize", ["content.png", "--style", "style.png", "--noise-seed", HUGE], "--noise-seed is 1e+20; it must"),
        ("train", ["fast", "--styles", "style.png", "--contents", ".", "-o", "t", "--steps", HUGE], "at most 9007199"),
        ("train", ["fast", "--styles", "style.png", "--contents", ".", "-o", "t", "--seed", HUGE], "at most 9007199"),
        (
            "train",
            ["fast", "--styles", "style.png", "--contents", ".", "-o", "t", "--learning-rate", "1e300"],
            "at most 1e+30",
        ),
        ("stylize", ["content.png", "--style", "style.png", "--style-weight", "1e308"], "--style-weight is 1e+308; it"),
    ],
)
def test_huge_numbers(command: str, words: list[str], said: str, run: Run) -> None:
    done = run(command, *words)
    assert done.code == 2
    assert said in done.err


def test_an_empty_content(run: Run) -> None:
    done = run("stylize", "", "--style", "style.png", "-o", "out.png")
    assert (done.code, "the word after stylize is empty" in done.err) == (2, True)


def test_one_size_replaces_that_of_a_preset(run: Run) -> None:
    done = run("stylize", "nothing.png", "--style", "style.png", "--preset", "draft", "--exact", "40x40", "-o", "o.png")
    assert "nothing.png does not exist" in done.err
    job = job_from("c.png", [], preset="draft", groups={"size": SizeOptions(exact=(40, 40))})
    assert (job.size.exact, job.size.size) == ((40, 40), 512)


def test_the_same_in_python() -> None:
    for options in ({"size": 100, "megapixels": 1.0}, {"short_side": 10, "exact": (10, 10)}):
        with pytest.raises(OptionError, match="both given"):
            SizeOptions(**options)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="`learning_rate` has no effect on `optimizer=lbfgs`"):
        OptimiseOptions(learning_rate=0.1)
    assert OptimiseOptions(optimizer="adam", learning_rate=0.1).learning_rate == 0.1


def test_what_may_have_a_colon() -> None:
    for text in ("https://example.org/a.jpg", "C:1", "C:a.jpg"):
        assert split_weight(text) == (text, 1.0)


def test_a_full_disk_is_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is written: of a file's contents and of standard output the error has no name."""
    error = OSError(errno.ENOSPC, "No space left on device")
    assert described(error) == "the output cannot be written: No space left on device. Free some space, and try again."
    stopped = RuntimeError("[enforce fail at inline_container.cc:668] . PytorchStreamWriter failed writing file data/0")
    assert described(stopped) == "a file cannot be written whole; the disk may be full. Free some space, and try again."
    full = Path("/dev/full")
    if full.exists():
        with full.open("w") as out, monkeypatch.context() as patched:
            patched.setattr("sys.stdout", out)
            assert main(["models", "list", "--json"]) == 1
            with contextlib.suppress(OSError):
                out.close()
        assert "internal error" not in capsys.readouterr().err
