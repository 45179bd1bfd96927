"""Trained styles on the command line: from somebody's file to a picture, and the same picture again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from in_process import Run
from johnsons import of_examples, of_lengstrom, of_rrmina

from impasto import api
from impasto.image import files

QUICK = ["--size", "48", "--precision", "float32"]


@pytest.fixture
def styles(run: Run, here: Path) -> list[str]:
    """`candy` and `mosaic`, imported from files of two projects."""
    torch.save(of_examples(), "candy.pth")
    torch.save(of_rrmina(tanh=True), "mosaic.model")
    done = run("models", "import", "candy.pth")
    assert done.code == 0, done.err
    assert done.out.rstrip().endswith("candy.safetensors")
    assert "candy is of kind fast" in done.err
    assert "read as pytorch-examples" in done.err
    asked = run("models", "import", "mosaic.model")
    assert (asked.code, "--checkpoint-format rrmina|rrmina-tanh" in asked.err) == (1, True)
    assert run("models", "import", "mosaic.model", "--checkpoint-format", "rrmina-tanh").code == 0
    return ["candy", "mosaic"]


def pixels(path: str | Path) -> torch.Tensor:
    return files.read(path).pixels


def test_by_name_and_again(run: Run, styles: list[str]) -> None:
    done = run("stylize", "content.png", "--style", "candy", *QUICK, "-o", "out.png", "--json")
    assert done.code == 0, done.err
    row = json.loads(done.out)
    assert (row["method"], row["steps"], row["styles"], list(row["weights"])) == ("fast", 1, {"candy": 1.0}, ["candy"])
    assert run("redo", "out.png", "-o", "again.png").code == 0
    assert Path("out.png").read_bytes() == Path("again.png").read_bytes()
    assert run("stylize", "content.png", "--style", "candy.pth", *QUICK, "-o", "file.png").code == 0
    torch.testing.assert_close(pixels("file.png"), pixels("out.png"), atol=1 / 255 + 1e-6, rtol=0)
    assert run("redo", "file.png", "-o", "again.png").code == 0
    assert Path("file.png").read_bytes() == Path("again.png").read_bytes()


def test_from_another_folder(run: Run, styles: list[str], here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("stylize", "content.png", "--style", "candy.pth", *QUICK, "-o", "sub/out.png").code == 0
    monkeypatch.chdir(here.parent)
    assert run("redo", here / "sub" / "out.png", "-o", "again.png").code == 0
    assert Path("again.png").is_file()
    torch.save(of_examples() | {"in1.bias": torch.ones(4)}, here / "candy.pth")
    changed = run("redo", here / "sub" / "out.png", "-o", "again.png")
    assert (changed.code, "candy.pth has changed" in changed.err) == (1, True)


def test_weights_that_have_changed(run: Run, styles: list[str]) -> None:
    assert run("stylize", "content.png", "--style", "candy", *QUICK, "-o", "out.png").code == 0
    torch.save(of_examples() | {"in1.bias": torch.ones(4)}, "candy.pth")
    assert run("models", "import", "candy.pth", "--replace").code == 0
    changed = run("redo", "out.png", "-o", "again.png")
    assert (changed.code, "the weights of candy are not those" in changed.err) == (1, True)


def test_a_mix_of_two(run: Run, styles: list[str]) -> None:
    for words, name in (
        (["--style", "candy:3", "--style", "mosaic:1"], "mix.png"),
        (["--style", "candy"], "candy.png"),
        (["--style", "mosaic"], "mosaic.png"),
    ):
        done = run("stylize", "content.png", *words, *QUICK, "-o", name)
        assert done.code == 0, done.err
    expected = 0.75 * pixels("candy.png") + 0.25 * pixels("mosaic.png")
    torch.testing.assert_close(pixels("mix.png"), expected, atol=1.1 / 255, rtol=0)
    assert run("redo", "mix.png", "-o", "again.png").code == 0
    assert Path("mix.png").read_bytes() == Path("again.png").read_bytes()


def test_what_is_shared_by_the_families(run: Run, styles: list[str]) -> None:
    files.write(Path("mask.png"), torch.cat([torch.ones(1, 1, 36, 24), torch.zeros(1, 1, 36, 24)], dim=3))
    words = ["--mask", "mask.png", "--feather", "0", "--keep-colours", "lab", "--strength", "0.7"]
    done = run("stylize", "content.png", "--style", "candy", *words, *QUICK, "--bits", "16", "-o", "o.png")
    assert done.code == 0, done.err
    torch.testing.assert_close(pixels("o.png")[..., 26:], pixels("content.png")[..., 26:], atol=1e-3, rtol=0)


def test_a_batch(run: Run, styles: list[str], here: Path) -> None:
    (here / "in").mkdir()
    for name in ("x", "y"):
        (here / "in" / f"{name}.png").write_bytes(Path("content.png").read_bytes())
    assert run("stylize", "in", "--style", "candy", *QUICK, "-o", "out").code == 0
    assert sorted(path.name for path in Path("out").iterdir()) == ["x-candy.png", "y-candy.png"]


def test_from_python(styles: list[str]) -> None:
    paint = api.PaintOptions(precision="float32")
    by_name = api.stylize("content.png", ["candy", ("mosaic", 0.5)], size=48, paint=paint)
    in_memory = api.stylize(pixels("content.png"), ["candy", ("mosaic", 0.5)], size=48, paint=paint)
    assert torch.equal(by_name.pixels, in_memory.pixels)
    assert by_name.recipe is not None
    assert by_name.recipe.job.paint.method == "fast"
    with pytest.raises(api.ImpastoError, match="candy of candy has other convolutions than compact-any"):
        api.stylize("content.png", ["candy", pixels("style.png")], size=48)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--style", "cndy"], "no file cndy: unknown trained style 'cndy'. Did you mean 'candy'? Known: "),
        (["--style", "candy", "--style", "style.png"], "candy of candy has other convolutions than compact-any"),
        (["--style", "style.png", "--method", "fast"], "style.png is not a trained style"),
        (["--style", "candy", "--method", "optimise"], "candy is a trained style, which --method fast paints"),
        (["--style", "candy", "--network", "other"], "--network is an option of --method arbitrary"),
        (["--style", "style.png", "--method", "optimise", "--noise-seed", "3"], "--noise-seed is an option of"),
        (["--style", "candy", "--style-scale", "2"], "--style-scale is 2 for candy"),
        (["--style", "candy", "--resume"], "--method fast cannot resume"),
        (["--style", "candy", "--snapshots", "1"], "picture that comes at once"),
    ],
)
def test_wrong_use(run: Run, styles: list[str], words: list[str], message: str) -> None:
    done = run("stylize", "content.png", *words, "-o", "o.png")
    assert (done.code, message in done.err) == (2, True), done.err
    assert done.err.count("\n") == 1


def test_they_are_listed_and_shown(run: Run, styles: list[str]) -> None:
    kinds = {row["name"]: row["kind"] for row in json.loads(run("models", "list", "--json").out)}
    assert (kinds["candy"], kinds["mosaic"]) == ("fast", "fast")
    shown = json.loads(run("models", "show", "mosaic", "--json").out)
    assert (shown["preprocess"], shown["network"]["upsampling"]) == ("bgr-255", "transposed")


def test_a_folder_of_deeplearn_js_is_a_style(run: Run, here: Path) -> None:
    (folder := here / "muse").mkdir()
    state = of_lengstrom()
    (folder / "manifest.json").write_text(
        json.dumps({key: {"filename": key, "shape": list(value.shape)} for key, value in state.items()})
    )
    for key, value in state.items():
        (folder / key).write_bytes(value.numpy().astype("<f4").tobytes())
    done = run("stylize", "content.png", "--style", "muse", *QUICK, "-o", "out.png")
    assert done.code == 0, done.err
    assert run("models", "import", "muse").code == 0
    assert run("stylize", "content.png", "--style", "muse", *QUICK, "-o", "imported.png").code == 0
    assert (here / "out.png").exists()
    again = run("redo", "out.png", "-o", "again.png")
    assert again.code == 0, again.err
