"""Networks of many styles on the command line: by name, blended, listed, and on a sheet."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from in_process import Run

from impasto import api
from impasto.core.errors import OptionError
from impasto.image import files
from impasto.nets import fast as fast_nets
from impasto.nets.fast import KIND
from impasto.weights.catalogue import CATALOGUE, CatalogueEntry
from impasto.weights.readers import import_weights

QUICK = ["--size", "48", "--precision", "float32"]
PAINT = api.PaintOptions(precision="float32")


@pytest.fixture
def styles(here: Path, save_learned: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """`wave` and `scream` of a network of the catalogue, `candy` by itself, and `my.safetensors`."""
    for name in [name for name, entry in CATALOGUE.items() if entry.kind == KIND]:
        monkeypatch.delitem(CATALOGUE, name)
    urls = ("https://example.invalid/compact-styles.safetensors",)
    row = CatalogueEntry(
        name="compact-styles", kind=KIND, checkpoint_format="impasto", urls=urls, licence="MIT", about="two styles"
    )
    monkeypatch.setitem(CATALOGUE, row.name, row)
    (tmp_path / "cache").mkdir()
    save_learned(tmp_path / "cache" / row.file_name, styles=("wave", "scream"))
    import_weights(save_learned(here / "candy.safetensors", seed=2))
    save_learned(here / "my.safetensors", seed=3, styles=("wave", "muse"))
    return ["wave", "scream"]


def pixels(path: str | Path) -> torch.Tensor:
    return files.read(path).pixels


def painted(run: Run, output: str, *words: str) -> torch.Tensor:
    done = run("stylize", "content.png", *words, *QUICK, "-o", output)
    assert done.code == 0, done.err
    return pixels(output)


def test_by_name_and_by_network(run: Run, styles: list[str]) -> None:
    wave = painted(run, "wave.png", "--style", "wave")
    assert torch.equal(wave, painted(run, "same.png", "--style", "compact-styles#wave"))
    assert not torch.equal(wave, painted(run, "scream.png", "--style", "scream:0.3"))
    assert not torch.equal(wave, painted(run, "file.png", "--style", "my.safetensors#wave"))
    made = api.recipe_of("same.png")
    assert [style.source for style in made.job.styles] == ["compact-styles#wave"]
    assert list(made.weights) == ["compact-styles"]
    assert list(api.recipe_of("file.png").inputs) == ["content.png", "my.safetensors"]


@pytest.mark.parametrize(
    "words", [["wave"], ["compact-styles#wave:3", "scream:1"], ["my.safetensors#wave", "my.safetensors#muse", "candy"]]
)
def test_again_from_another_folder(
    run: Run, styles: list[str], here: Path, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    painted(run, "sub/out.png", *(word for style in words for word in ("--style", style)))
    monkeypatch.chdir(here.parent)
    done = run("redo", here / "sub" / "out.png", "-o", "again.png")
    assert done.code == 0, done.err
    assert torch.equal(pixels("again.png"), pixels(here / "sub" / "out.png"))


def test_a_blend_is_of_rows(run: Run, styles: list[str], tmp_path: Path) -> None:
    network = fast_nets.load_fast_network(tmp_path / "cache" / "compact-styles.safetensors", precision="float32")
    found = painted(run, "mix.png", "--style", "wave:3", "--style", "scream:1")
    expected = network.of({"wave": 0.75, "scream": 0.25}).painter.painted(pixels("content.png"))
    torch.testing.assert_close(found, expected, atol=0.6 / 255, rtol=0)


def test_outputs_are_named_by_style(run: Run, styles: list[str]) -> None:
    for style in ("my.safetensors#muse", "compact-styles#wave", "scream"):
        assert run("stylize", "content.png", "--style", style, *QUICK, "-o", "out").code == 0
    assert sorted(path.name for path in Path("out").iterdir()) == [
        "content-muse.png",
        "content-scream.png",
        "content-wave.png",
    ]


def test_from_python(styles: list[str]) -> None:
    found = api.stylize("content.png", ["wave", ("scream", 0.5)], size=48, paint=PAINT)
    in_memory = api.stylize(pixels("content.png"), ["compact-styles#wave", ("scream", 0.5)], size=48, paint=PAINT)
    assert torch.equal(found.pixels, in_memory.pixels)
    assert found.recipe is not None
    assert found.recipe.job.paint.method == "fast"
    with pytest.raises(OptionError, match=r"compact-styles has 2 styles: wave, scream\. Name one"):
        api.stylize("content.png", "compact-styles")


@pytest.mark.parametrize(
    ("style", "message"),
    [
        ("compact-styles", "is one file, and several pictures are painted. Name a folder"),
        ("my.safetensors", "is one file, and several pictures are painted. Name a folder"),
        ("wve", "no file wve: unknown trained style 'wve'. Did you mean 'wave'? Known: candy, scream, wave."),
        ("compact-styles#wve", "unknown style of compact-styles 'wve'. Did you mean 'wave'? Known: scream, wave."),
    ],
)
def test_wrong_names(run: Run, styles: list[str], style: str, message: str) -> None:
    done = run("stylize", "content.png", "--style", style, "-o", "o.png")
    assert (done.code, message in done.err) == (2, True), done.err
    assert done.err.count("\n") == 1


def test_a_network_is_each_of_its_styles(run: Run, styles: list[str]) -> None:
    for network, names in (("compact-styles", ("wave", "scream")), ("my.safetensors", ("wave", "muse"))):
        done = run("stylize", "content.png", "--style", network, *QUICK, "-o", "each", "--format", "webp")
        assert done.code == 0, done.err
        assert done.out.split() == [str(Path("each", f"content-{name}.webp")) for name in names]


def test_a_name_of_two_networks(run: Run, styles: list[str], here: Path) -> None:
    assert run("models", "import", "my.safetensors").code == 0
    done = run("stylize", "content.png", "--style", "wave", "-o", "o.png")
    assert done.code == 2
    assert "wave is a style of compact-styles and of my. Name one of them: compact-styles#wave or my#wave." in done.err
    painted(run, "o.png", "--style", "my#wave")


def test_they_are_listed_and_shown(run: Run, styles: list[str]) -> None:
    rows = {row["name"]: row for row in json.loads(run("models", "list", "--json").out)}
    assert (rows["compact-styles"]["styles"], rows["candy"]["styles"]) == (["wave", "scream"], ["candy"])
    assert rows["vgg19"]["styles"] == []
    listed = {line.split()[0]: line for line in run("models", "list").out.splitlines()}
    assert "wave, scream" in listed["compact-styles"]
    assert "1 styles" not in listed["candy"]
    shown = run("models", "show", "compact-styles").out
    assert "wave: a picture of wave" in shown
    assert "scream: a picture of scream" in shown
    assert "styles" not in run("models", "show", "candy").out
    as_json = json.loads(run("models", "show", "compact-styles", "--json").out)
    assert as_json["styles"][1] == {"name": "scream", "about": "a picture of scream"}


def test_a_sheet_of_all(run: Run, styles: list[str]) -> None:
    done = run("models", "sheet", "-o", "sheet.png", "--content", "content.png", "--size", "40", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out) == {"output": "sheet.png", "styles": ["wave", "scream", "candy"]}
    whole = pixels("sheet.png")
    assert run("models", "sheet", "wave", "-o", "one.png", "--content", "content.png", "--size", "40").code == 0
    assert pixels("one.png").numel() < whole.numel()
    of_file = run("models", "sheet", "my.safetensors", "candy", "--content", "content.png", "--size", "40", "--json")
    assert json.loads(of_file.out)["styles"] == ["my.safetensors#wave", "my.safetensors#muse", "candy"]
    assert Path("styles.png").is_file()
    both = ["--content", "content.png", "--content", "style.png"]
    table = run("models", "sheet", *both, "-o", "table.png", "--size", "40", "--json")
    assert json.loads(table.out)["styles"] == ["wave", "scream", "candy"]
    assert pixels("table.png").shape[-2] > 2 * 30


def test_a_sheet_needs_no_photograph(styles: list[str]) -> None:
    calls: list[tuple[int, int, str]] = []
    found = api.sheet_of_styles(styles, size=32, progress=lambda *at: calls.append(at))
    assert calls == [(0, 2, "wave"), (1, 2, "scream")]
    assert min(found.pixels.shape[-2:]) > 32


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--content", "content.png", "-o", "content.png"], "content.png"),
        (["-o", "sheet.txt"], ".txt"),
        (["--size", "8"], "--size is 8"),
        (["wve"], "Did you mean 'wave'"),
    ],
)
def test_sheets_that_are_refused(run: Run, styles: list[str], words: list[str], message: str) -> None:
    done = run("models", "sheet", *words)
    assert (done.code in (1, 2), message in done.err) == (True, True), done.err
    assert not Path("styles.png").exists()


def test_no_styles_at_all(run: Run, styles: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(CATALOGUE, "compact-styles")
    monkeypatch.setenv("IMPASTO_CACHE", "empty")
    done = run("models", "sheet")
    assert (done.code, "no trained style on this machine" in done.err) == (2, True)


def test_a_sweep_from_style_to_style(run: Run, styles: list[str], tmp_path: Path) -> None:
    words = ["--style", "wave", "--style", "scream", "--vary", "mix=0,0.25,1", *QUICK, "-o", "row", "--quiet"]
    done = run("analyze", "sweep", "content.png", *words)
    assert done.code == 0, done.err
    cells = {
        str(row["settings"]["mix"]): row["picture"] for row in json.loads(Path("row/results.json").read_text())["runs"]
    }
    network = fast_nets.load_fast_network(tmp_path / "cache" / "compact-styles.safetensors", precision="float32")
    for mix, picture in cells.items():
        expected = network.of({"wave": 1 - float(mix), "scream": float(mix)}).painter.painted(pixels("content.png"))
        torch.testing.assert_close(pixels(Path("row/cells") / picture), expected, atol=0.6 / 255, rtol=0)
    assert run("analyze", "sweep", "content.png", *words).code == 0


@pytest.mark.parametrize(
    ("words", "messages"),
    [
        (["--style", "wave", "scream"], ["'scream' belongs to no option", "--style A --style B"]),
        ([], ["--style has no value", "Style and optional weight", "impasto stylize --help"]),
        (["--style", "wave", "--size"], ["--size has no value", "Long side"]),
        (["--style", "WAVE"], ["there is no file WAVE", "Did you mean 'wave'?"]),
    ],
)
def test_wrong_use_names_the_option(run: Run, words: list[str], messages: list[str]) -> None:
    done = run("stylize", "content.png", "-o", "o.png", *words)
    assert done.code == 2
    for message in messages:
        assert message in done.err


def test_a_trained_style_with_a_picture_and_a_saved_one(run: Run, here: Path) -> None:
    assert run("style", "save", "style.png", "-o", "saved.safetensors").code == 0
    words = ["--style", "wave:0.6", "--style", "saved.safetensors:0.4", "--size", "48"]
    done = run("stylize", "content.png", *words, "-o", "out.png", "--json")
    assert done.code == 0, done.err
    row = json.loads(done.out)
    assert (row["method"], list(row["weights"])) == ("arbitrary", ["compact-vgg", "compact-any", "compact-styles"])
    assert run("redo", "out.png", "-o", "again.png").code == 0
    assert Path("out.png").read_bytes() == Path("again.png").read_bytes()
