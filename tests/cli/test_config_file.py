"""`impasto stylize --config FILE`."""

from __future__ import annotations

from pathlib import Path

import pytest
from in_process import Run

from impasto import api


@pytest.fixture
def toml(tiny: list[str], here: Path) -> Path:
    """The options of `tiny` and a style."""
    values = [f'{flag.removeprefix("--")} = "{value}"' for flag, value in zip(tiny[::2], tiny[1::2], strict=True)]
    text = "\n".join(['style = ["style.png", "content.png:0.5"]', "", "[painting]", *values])
    (here / "look.toml").write_text(text.replace('size = "48"', "size = 48").replace('steps = "2"', "steps = [2]"))
    return here / "look.toml"


def test_toml_is_as_flags(run: Run, tiny: list[str], toml: Path, here: Path) -> None:
    styles = ["--style", "style.png", "--style", "content.png:0.5"]
    assert run("stylize", "content.png", *styles, *tiny, "-o", "a.png").code == 0
    done = run("stylize", "content.png", "--config", toml, "-o", "b.png")
    assert done.code == 0, done.err
    assert (here / "b.png").read_bytes() == (here / "a.png").read_bytes()


def test_flags_override(run: Run, toml: Path) -> None:
    words = ["--style", "style.png", "--short-side", "24", "--steps", "1", "-o", "o.png"]
    assert run("stylize", "content.png", "--config", toml, *words).code == 0
    job = api.recipe_of("o.png").job
    assert [style.source for style in job.styles] == ["style.png"]
    assert (job.size.short_side, job.optimise.steps) == (24, (1,))
    assert api.read("o.png").size_hw == (24, 32)


@pytest.mark.parametrize("name", ["a.png", "a.png.json"])
def test_a_recipe_from_another_folder(name: str, run: Run, tiny: list[str], here: Path) -> None:
    (here / "sub").mkdir()
    words = [
        "--style",
        "style.png:2",
        "--style",
        "content.png:0.1",
        "--strength",
        "0.123456789",
        "--exact",
        "40x32",
        "--sidecar",
    ]
    given = [word for i, word in enumerate(tiny) if "--size" not in tiny[max(0, i - 1) : i + 1]]
    assert run("stylize", "content.png", *words, *given, "-o", "sub/a.png").code == 0
    done = run("stylize", "content.png", "--config", f"sub/{name}", "-o", "b.png")
    assert done.code == 0, done.err
    assert api.recipe_of("b.png").job == api.recipe_of("sub/a.png").moved(here / "sub", here).job
    assert run("stylize", "content.png", "--config", f"sub/{name}", "--size", "24", "-o", "c.png").code == 0
    assert api.read("c.png").size_hw == (18, 24)


def test_a_preset_in_a_file(run: Run, tiny: list[str], here: Path) -> None:
    (here / "look.toml").write_text('preset = "draft"\nsteps = [1]\n')
    short = [word for i, word in enumerate(tiny) if "--steps" not in tiny[max(0, i - 1) : i + 1]]
    words = ["--style", "style.png", *short, "--config", "look.toml", "-o", "o.png"]
    assert run("stylize", "content.png", *words).code == 0
    assert api.recipe_of("o.png").job.optimise.steps == (1,)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sise = 512", "Did you mean 'size'"),
        ("size = ", "cannot be read"),
        ("size = 1\n[size-of]\nsize = 2", "has size twice"),
        ("size = [[1]]", "is needed"),
        ("size = -1", "--size is -1"),
        ("config = 'x.toml'", "unknown option"),
    ],
)
def test_wrong_files(text: str, message: str, run: Run, here: Path) -> None:
    (here / "look.toml").write_text(text)
    done = run("stylize", "content.png", "--style", "style.png", "--config", "look.toml", "-o", "o.png")
    assert (done.code, message in done.err) == (2, True), done.err


def test_files_without_a_recipe(run: Run) -> None:
    for name, message in (
        ("content.png", "no recipe"),
        ("missing.json", "cannot be read"),
        ("no.toml", "No such file"),
    ):
        done = run("stylize", "content.png", "--config", name, "-o", "o.png")
        assert done.code in (1, 2)
        assert message in done.err
