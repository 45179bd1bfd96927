"""The default family on the command line: one picture, folders of contents and styles, saved styles."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from in_process import Run
from PIL import Image

from impasto import api
from impasto.cli.bars import Bar
from impasto.image import files


def pixels(path: str | Path) -> torch.Tensor:
    return files.read(path).pixels


@pytest.fixture
def folders(here: Path) -> Path:
    """Folders `in` and `styles` of two pictures each."""
    for folder, names in {"in": ("x", "y"), "styles": ("a", "b")}.items():
        (here / folder).mkdir()
        for name, source in zip(names, ("content", "style"), strict=True):
            shutil.copy(f"{source}.png", here / folder / f"{name}.png")
    return here


def outputs(folder: str) -> list[str]:
    return sorted(path.name for path in Path(folder).rglob("*.png"))


# One picture


def test_one_pass_is_the_default(run: Run, quick: list[str]) -> None:
    done = run("stylize", "content.png", "--style", "style.png", *quick, "-o", "out.png", "--json")
    assert done.code == 0, done.err
    row = json.loads(done.out)
    assert (row["method"], row["steps"], set(row["weights"])) == ("arbitrary", 1, {"net", "narrow"})
    assert pixels("out.png").shape == (1, 3, 36, 48)
    assert not torch.allclose(pixels("out.png"), pixels("content.png"), atol=0.05)
    assert run("redo", "out.png", "-o", "again.png").code == 0
    assert Path("out.png").read_bytes() == Path("again.png").read_bytes()


def test_what_is_shared_by_the_families(run: Run, quick: list[str], here: Path) -> None:
    mask = np.zeros((36, 48), np.uint8)
    mask[:, 24:] = 255
    Image.fromarray(mask).save("mask.png")
    words = ["--mask", "mask.png", "--feather", "0", "--keep-colours", "lab", "--match-style", "covariance"]
    words += ["--style-scale", "0.5", "--strength", "0.7", "--exact", "40x30", "--bits", "16"]
    at = quick.index("--size")
    quick = [*quick[:at], *quick[at + 2 :]]
    done = run("stylize", "content.png", "--style", "style.png", *words, *quick, "-o", "o.png")
    assert done.code == 0, done.err
    assert files.read("o.png").bits == 16
    assert pixels("o.png").shape == (1, 3, 30, 40)


def test_no_step_is_told_of_a_single_pass(run: Run, quick: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr(Bar, "show", lambda self, done, total, text: shown.append(text))
    done = run("stylize", "content.png", "--style", "style.png", *quick, "-o", "o.png")
    assert done.err.startswith("48×36 px, 0.")
    assert shown == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--steps", "60"], "--steps is an option of --method optimise, and this job is painted by --method arbitrary"),
        (["--encoder", "vgg19", "--seed", "3"], "--encoder and --seed are options of --method optimise"),
        (["--init", "noise"], "--init is an option of --method optimise"),
        (["--method", "optimise"], "--network is an option of --method arbitrary"),
        (["--method", "arbitrary", "--preset", "draft"], "--steps is an option of --method optimise"),
        (["--animation", "a.gif"], "--animation would show a picture that comes at once. Add --method optimise"),
        (["--animation", "a.gif", "--snapshots", "2"], "--animation and --snapshots would"),
        (["--resume"], "--resume continues a stopped painting of --method optimise"),
        (["--pairs", "zip"], "--pairs zip is for several styles"),
        (["--method", "adain"], '"arbitrary"'),
        (["--style", "style.png:-2"], "add up to"),
    ],
)
def test_what_it_has_no_use_for_is_refused(
    run: Run, quick: list[str], here: Path, words: list[str], message: str
) -> None:
    before = sorted(here.iterdir())
    done = run("stylize", "content.png", "--style", "style.png", *words, *quick, "-o", "o.png")
    assert done.code == 2
    assert done.err.startswith("error: ")
    assert message in done.err
    assert done.err.count("\n") == 1
    assert sorted(here.iterdir()) == before


def test_redo_grows_nothing(run: Run, quick: list[str]) -> None:
    assert run("stylize", "content.png", "--style", "style.png", *quick, "-o", "o.png").code == 0
    done = run("redo", "o.png", "-o", "again.png", "--animation", "a.gif")
    assert (done.code, "--animation would" in done.err) == (2, True)


def test_a_preset_brings_its_method(run: Run, tiny: list[str]) -> None:
    words = [word for word in tiny if word not in ("--method", "optimise")]
    done = run("stylize", "content.png", "--style", "style.png", "--preset", "draft", *words, "-o", "o.png")
    assert done.code == 0, done.err
    assert api.recipe_of("o.png").job.paint.method == "optimise"


# Folders


def test_every_content_in_every_style(run: Run, quick: list[str], folders: Path) -> None:
    done = run("stylize", "in", "--style", "styles", *quick, "-o", "out")
    assert done.code == 0, done.err
    assert [Path(line).name for line in done.out.split()] == ["x-a.png", "x-b.png", "y-a.png", "y-b.png"]
    assert run("stylize", "in/y.png", "--style", "styles/a.png", *quick, "-o", "alone.png").code == 0
    assert torch.equal(pixels("out/y-a.png"), pixels("alone.png"))
    assert api.recipe_of("out/y-a.png").job.styles[0].source == str(Path("../styles/a.png"))


def test_pairs_one_by_one(run: Run, quick: list[str], folders: Path) -> None:
    assert run("stylize", "in", "--style", "styles", "--pairs", "zip", *quick, "-o", "out").code == 0
    assert outputs("out") == ["x-a.png", "y-b.png"]
    (folders / "styles" / "b.png").unlink()
    done = run("stylize", "in", "--style", "styles", "--pairs", "zip", *quick, "-o", "out2")
    assert (done.code, "there are 1 and 2" in done.err) == (2, True)


def test_each_style_is_read_once(run: Run, quick: list[str], folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[str] = []
    read = files.read
    monkeypatch.setattr(files, "read", lambda path, **more: reads.append(Path(path).stem) or read(path, **more))
    shutil.copy("in/x.png", "in/y.png")  # of one size
    assert run("stylize", "in", "--style", "styles", *quick, "-o", "out").code == 0
    assert reads == ["x", "a", "b", "y"]


def test_a_bad_style_and_a_bad_content_do_not_stop_it(run: Run, quick: list[str], folders: Path) -> None:
    (folders / "styles" / "bad.png").write_text("no picture")
    (folders / "in" / "worse.png").write_text("no picture")
    done = run("stylize", "in", "--style", "styles", *quick, "-o", "out")
    assert done.code == 1
    assert outputs("out") == ["x-a.png", "x-b.png", "y-a.png", "y-b.png"]
    last = done.err.splitlines()[-1]
    assert "5 of 9 pictures could not be painted" in last
    assert "x.png in bad.png" in last
    assert "worse.png in a.png" in last
    assert "styles/bad.png is not a picture" in done.err.replace("\\", "/")


def test_a_folder_of_one_is_a_batch(run: Run, quick: list[str], folders: Path) -> None:
    (folders / "in" / "y.png").unlink()
    words = ["stylize", "in", "--style", "style.png", *quick, "-o", "out", "--resume"]
    assert run(*words).out.split() == [str(Path("out/x-style.png"))]
    again = run(*words)
    assert (again.code, again.out, "done already" in again.err) == (0, "", True)


def test_finished_ones_are_skipped(run: Run, quick: list[str], folders: Path) -> None:
    words = ["stylize", "in", "--style", "styles", *quick, "-o", "out"]
    assert run(*words).code == 0
    (folders / "out" / "y-a.png").unlink()
    (folders / "out" / "x-a.png.paused").write_bytes(b"of another family")
    done = run(*words, "--resume")
    assert (done.code, done.out.split()) == (0, [str(Path("out/y-a.png"))])
    assert run(*words, "--resume", "--strength", "0.5").out.count("\n") == 4


def test_folders_paint_by_optimisation_too(run: Run, tiny: list[str], folders: Path) -> None:
    assert run("stylize", "content.png", "--style", "styles", *tiny, "-o", "out").code == 0
    assert outputs("out") == ["content-a.png", "content-b.png"]


# Saved styles


@pytest.fixture
def kept(run: Run, network_file: Path, here: Path) -> Path:
    done = run("style", "save", "style.png", "-o", "kept.safetensors", "--size", "48", "--network", network_file)
    assert (done.code, done.out) == (0, "kept.safetensors\n"), done.err
    return here / "kept.safetensors"


def test_a_saved_style_paints_without_its_picture(run: Run, quick: list[str], kept: Path) -> None:
    assert run("stylize", "content.png", "--style", "style.png", *quick, "-o", "a.png").code == 0
    Path("style.png").rename("gone.png")
    done = run("stylize", "content.png", "--style", "kept.safetensors", *quick, "-o", "b.png")
    assert done.code == 0, done.err
    assert torch.equal(pixels("a.png"), pixels("b.png"))
    assert "kept.safetensors" in api.recipe_of("b.png").inputs
    mix = ["--style", "kept.safetensors:0.5", "--style", "content.png:0.5"]
    assert run("stylize", "content.png", *mix, *quick, "-o", "c.png").code == 0
    assert not torch.equal(pixels("c.png"), pixels("b.png"))
    assert run("redo", "c.png", "-o", "d.png").code == 0
    kept.write_bytes(kept.read_bytes()[:-1])
    assert "kept.safetensors has changed" in run("redo", "c.png", "-o", "d.png").err


def test_saved_styles_lie_in_folders_of_styles(run: Run, quick: list[str], kept: Path, folders: Path) -> None:
    shutil.move(kept, folders / "styles")
    assert run("stylize", "content.png", "--style", "styles", *quick, "-o", "out").code == 0
    assert outputs("out") == ["content-a.png", "content-b.png", "content-kept.png"]


def test_a_saved_style_is_shown(run: Run, kept: Path, network_file: Path) -> None:
    row = json.loads(run("style", "show", "kept.safetensors", "--json").out)
    assert (row["kind"], row["source"], row["training"]["size_px"]) == ("style", "style.png", 48)
    assert row["network"]["encoder"]["name"] == "narrow"
    assert list(row["statistics"]) == row["network"]["layers"]
    assert "style.png" in run("style", "show", "kept.safetensors").out
    wrong = run("style", "show", network_file)
    assert (wrong.code, "kind arbitrary, not a style" in wrong.err) == (1, True)
    words = ["style", "save", "style.png", "-o", "b.safetensors", "--network", network_file, "--json", "--quiet"]
    assert json.loads(run(*words).out)["output"] == "b.safetensors"


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--method", "optimise"], 2, "--method optimise needs the picture"),
        (["--match-style", "histogram"], 2, "--match-style"),
        (["--style-scale", "2"], 2, "--style-scale is 2 for kept.safetensors"),
        (["--style", "style.png", "--style-scale", "2,1"], 2, "--style-scale is 2 for kept.safetensors"),
        (["--style", "none.safetensors"], 1, "none.safetensors does not exist"),
    ],
)
def test_what_a_saved_style_cannot(
    run: Run, quick: list[str], kept: Path, words: list[str], code: int, message: str
) -> None:
    network = [] if "optimise" in words else quick
    done = run("stylize", "content.png", "--style", "kept.safetensors", *words, *network, "-o", "o.png")
    assert (done.code, message in done.err) == (code, True), done.err
    assert done.err.count("\n") == 1


def test_a_picture_may_be_scaled_beside_it(run: Run, quick: list[str], kept: Path) -> None:
    words = ["--style", "kept.safetensors", "--style", "style.png", "--style-scale", "1,2"]
    assert run("stylize", "content.png", *words, *quick, "-o", "o.png").code == 0


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["style.png", "-o", "kept.png"], 2, "ending in .safetensors"),
        (["nope.png", "-o", "kept.safetensors"], 1, "nope.png does not exist"),
        (["style.png", "-o", "kept.safetensors", "--style-scale", "100"], 2, "--scale is 100"),
        (["style.png", "-o", "kept.safetensors", "--size", "0"], 2, "--size is 0"),
        (["style.png"], 2, "--output"),
    ],
)
def test_styles_that_cannot_be_saved(
    run: Run, network_file: Path, here: Path, words: list[str], code: int, message: str
) -> None:
    done = run("style", "save", *words, "--network", network_file)
    assert (done.code, message in done.err) == (code, True), done.err
    assert not list(here.glob("*.safetensors"))


# Weights of every kind


def test_networks_and_styles_are_listed_and_shown(run: Run, kept: Path, network_file: Path, quick: list[str]) -> None:
    for path, name in ((network_file, "mine"), (kept, "wave")):
        assert run("models", "import", path, "--name", name).code == 0
    kinds = {row["name"]: row["kind"] for row in json.loads(run("models", "list", "--json").out)}
    assert (kinds["mine"], kinds["wave"], kinds["compact-vgg"]) == ("arbitrary", "style", "encoder")
    shown = json.loads(run("models", "show", "mine", "--json").out)
    assert shown["network"]["architecture"] == "mirrored"
    assert "arbitrary" in run("models", "show", network_file).out
    assert run("models", "show", kept).code == 0
    words = ["mine" if word == str(network_file) else word for word in quick]
    assert run("stylize", "content.png", "--style", "style.png", *words, "-o", "o.png").code == 0
    encoder = run("stylize", "content.png", "--style", "style.png", "--network", "compact-vgg", "-o", "o.png")
    assert (encoder.code, "is of kind encoder" in encoder.err) == (1, True)


# Sweeps


def test_a_sweep_over_strengths(run: Run, quick: list[str], there: Path) -> None:
    words = ["--style", "style.png", *quick, "--measure-with", str(there / "tiny.safetensors"), "-o", "s"]
    done = run("analyze", "sweep", "content.png", *words, "--vary", "strength=0.5,1", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["painted"] == 2
    refused = run("analyze", "sweep", "content.png", *words, "--vary", "seed=1,2")
    assert (refused.code, "--seed is an option of --method optimise" in refused.err) == (2, True)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--vary", "strength=0.5", "--tile-px", "0"], 2, "--tile-px"),
        (["--vary", "strength=0.5,99"], 2, "strength"),
        (["--vary", "strength=0.5", "--cell-px", "0"], 2, "--cell-px"),
        (["--vary", "strength=0.5", "--style", "dot.png"], 1, "dot.png is 1×1 px"),
        (["--vary", "strength=0.5", "--style", "none.png"], 1, "none.png does not exist"),
    ],
)
def test_a_quiet_sweep_says_why_it_failed(
    run: Run, quick: list[str], here: Path, words: list[str], code: int, message: str
) -> None:
    Image.new("RGB", (1, 1)).save(here / "dot.png")
    style = [] if "--style" in words else ["--style", "style.png"]
    done = run("analyze", "sweep", "content.png", *style, *words, *quick, "--quiet", "-o", "s")
    assert (done.code, done.err.count("\n")) == (code, 1), done.err
    assert message in done.err
