from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from in_process import Run
from PIL import Image

from impasto import api
from impasto.cli import painting
from impasto.cli.bars import Bar
from impasto.image import files
from impasto.image.pixels import from_bytes


def pixels(path: str | Path) -> torch.Tensor:
    return files.read(path).pixels


def test_a_picture_is_painted(run: Run, tiny: list[str]) -> None:
    done = run("stylize", "content.png", "--style", "style.png", *tiny, "-o", "out.png")
    assert (done.code, done.out) == (0, "out.png\n")
    assert "48×36 px" in done.err
    assert pixels("out.png").shape == (1, 3, 36, 48)
    assert not torch.equal(pixels("out.png"), pixels("content.png"))


def test_strength_0_gives_the_content_back(run: Run, tiny: list[str]) -> None:
    assert run("stylize", "content.png", "--style", "style.png", *tiny, "-o", "o.png", "--strength", "0").code == 0
    assert torch.equal(pixels("o.png"), pixels("content.png"))


def test_json_and_quiet(run: Run, tiny: list[str]) -> None:
    done = run("stylize", "content.png", "--style", "style.png:2", *tiny, "-o", "o.png", "--json", "--quiet")
    row = json.loads(done.out)
    assert done.err == ""
    assert row["output"] == "o.png"
    assert row["styles"] == {"style.png": 2.0}
    assert row["size"] == [48, 36]
    assert row["steps"] == row["steps_planned"]
    assert set(row["losses"]) >= {"content", "style"}
    assert len(row["recipe_sha256"]) == 64
    assert "tiny" in row["weights"]


def test_options_reach_the_job(run: Run, tiny: list[str]) -> None:
    words = ["--preset", "gatys", "--style", "style.png:0.5", "--style-scale", "2", "--keep-colours", "lab"]
    assert run("stylize", "content.png", *words, *tiny, "--scales", "2", "-o", "o.png").code == 0
    job = api.recipe_of("o.png").job
    assert (job.losses.style_loss, job.losses.balance, job.optimise.init) == ("gatys", "absolute", "noise")
    assert (job.optimise.steps, job.optimise.scales, job.colour.keep_colours) == ((2,), 2, "lab")
    assert (job.styles[0].weight, job.styles[0].scale) == (0.5, 2.0)


def test_weights_of_styles_matter(run: Run, tiny: list[str]) -> None:
    for name, weight in (("a.png", "1"), ("b.png", "0.01")):
        mix = ["--style", f"style.png:{weight}", "--style", "content.png"]
        assert run("stylize", "content.png", *mix, *tiny, "-o", name).code == 0
    assert not torch.equal(pixels("a.png"), pixels("b.png"))


def test_a_mask_keeps_the_rest(run: Run, tiny: list[str]) -> None:
    mask = np.zeros((36, 48), np.uint8)
    mask[:, 24:] = 255
    Image.fromarray(mask).save("mask.png")
    words = ["--style", "style.png", "--mask", "mask.png", "--feather", "0"]
    assert run("stylize", "content.png", *words, *tiny, "-o", "o.png").code == 0
    out, content = pixels("o.png"), pixels("content.png")
    assert torch.equal(out[..., :24], content[..., :24])
    assert not torch.equal(out[..., 24:], content[..., 24:])


def test_a_style_paints_the_rest(run: Run, quick: list[str]) -> None:
    Image.linear_gradient("L").save("mask.png")
    words = ["--style", "style.png", "--style", "content.png", "--mask", "mask.png"]
    assert run("stylize", "content.png", *words, "--mask", "rest", *quick, "-o", "o.png").code == 0
    assert run("stylize", "content.png", "--config", "o.png", "-o", "again.png").code == 0
    assert torch.equal(pixels("o.png"), pixels("again.png"))
    refused = run("stylize", "content.png", *words[:2], "--mask", "rest", *quick, "-o", "p.png")
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert "--mask rest is given to 1 of 1 styles" in refused.err


def test_contents_lie_in_a_folder_of_the_output_folder(run: Run, here: Path, quick: list[str]) -> None:
    (here / "sub" / "deep").mkdir(parents=True)
    for name in ("a.png", "deep/b.png"):
        (here / "sub" / name).write_bytes((here / "content.png").read_bytes())
    assert run("stylize", "sub", "--style", "style.png", *quick, "-o", ".").code == 0
    assert (here / "a-style.png").is_file()
    assert (here / "deep" / "b-style.png").is_file()
    assert sorted(path.name for path in (here / "sub").rglob("*.png")) == ["a.png", "b.png"]


def test_alpha_is_kept(run: Run, tiny: list[str]) -> None:
    picture = Image.open("content.png").convert("RGBA")
    picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    picture.save("clear.png")
    assert run("stylize", "clear.png", "--style", "style.png", *tiny, "-o", "o.png").code == 0
    alpha = files.read("o.png").alpha
    assert alpha is not None
    assert torch.equal(alpha, from_bytes(np.asarray(picture))[:, 3:])


def test_16_bits_in_and_out(run: Run, tiny: list[str]) -> None:
    deep = torch.linspace(0, 1, 48).expand(1, 3, 36, 48)
    files.write("deep.png", deep, bits=16)
    words = ["--style", "style.png", "--strength", "0", "--bits", "16"]
    assert run("stylize", "deep.png", *words, *tiny, "-o", "o.png").code == 0
    assert files.read("o.png").bits == 16
    assert torch.allclose(pixels("o.png"), deep, atol=1e-5)


def test_snapshots_and_animation(run: Run, tiny: list[str], here: Path) -> None:
    words = ["--snapshots", "1", "--animation", "film.gif", "--scales", "1"]
    assert run("stylize", "content.png", "--style", "style.png", *tiny, *words, "-o", "o.png").code == 0
    assert sorted(path.name for path in here.glob("o-*")) == ["o-0001.png", "o-0002.png"]
    with Image.open("film.gif") as film:
        assert film.size == (48, 36)
    assert torch.equal(pixels("o-0002.png"), pixels("o.png"))
    with pytest.raises(api.ImpastoError, match="no recipe"):
        api.recipe_of("o-0001.png")


def test_several_contents_with_a_bad_one(run: Run, tiny: list[str], here: Path) -> None:
    (here / "bad.jpg").write_text("no picture")
    done = run("stylize", "bad.jpg", "content.png", "style.png", "--style", "style.png", *tiny, "-o", "out")
    assert done.code == 1
    assert done.out.split() == [str(Path("out/content-style.png")), str(Path("out/style-style.png"))]
    assert "bad.jpg is not a picture" in done.err
    assert "1 of 3" in done.err


def test_wrong_options_stop_a_batch_at_once(run: Run, tiny: list[str], here: Path) -> None:
    done = run(
        "stylize", "content.png", "style.png", "--style", "style.png", *tiny, "--style-loss", "gran", "-o", "out"
    )
    assert done.code == 2
    assert done.err.count("\n") == 1
    assert not (here / "out").exists()


def test_a_finished_batch_is_not_painted_again(run: Run, tiny: list[str], here: Path) -> None:
    (here / "in").mkdir()
    for name in ("content", "style"):
        shutil.copy(f"{name}.png", "in")
    words = ["stylize", "in", "--style", "style.png", *tiny, "-o", "out", "--animation", "film.gif"]
    assert run(*words).code == 0
    assert len(list((here / "out").glob("*.gif"))) == 2
    (here / "out" / "style-style.png").unlink()
    done = run(*words, "--resume")
    assert done.code == 0
    assert done.out.split() == [str(Path("out/style-style.png"))]
    assert "done already" in done.err
    assert run(*words, "--resume", "--seed", "1").out.count("\n") == 2


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["nope.png", "--style", "style.png"], 1, "nope.png does not exist"),
        (["text.jpg", "--style", "style.png"], 1, "text.jpg is not a picture"),
        (["content.png", "--style", "nope.png:0.5"], 1, "nope.png does not exist"),
        (["content.png", "--style", "style.png", "--mask", "nope.png"], 1, "nope.png does not exist"),
        (["dot.png", "--style", "style.png", "--size", "0"], 1, "content is 1×1 px"),
        (["content.png", "--style", "dot.png"], 1, "dot.png is 1×1 px"),
        (["content.png", "--style", "style.png", "--style-loss", "gran"], 2, "Did you mean 'gram'?"),
        (["content.png", "--style", "style.png", "--stepz", "3"], 2, "Did you mean --steps?"),
        (["content.png", "--style", "style.png", "--pooling", "mox"], 2, 'Did you mean "max"?'),
        (["content.png", "--style", "style.png", "--preset", "drft"], 2, 'Did you mean "draft"?'),
        (["content.png", "--style", "style.png", "--strength", "11"], 2, "between 0 and 10"),
        (["content.png", "--style", "style.png", "--bits", "16", "-o", "o.jpg"], 2, "cannot hold 16 bits"),
        (["content.png", "--style", "style.png", "-o", "o.xyz"], 2, "picture format"),
        (["content.png", "--style", "style.png", "-o", "style.png"], 2, "one of the inputs"),
        (["content.png", "--style", "style.png", "--animation", "a.avi"], 2, ".gif or .mp4"),
        (["content.png", "--style", "style.png", "--resume"], 1, "nothing was stopped"),
        (["content.png"], 2, "--style"),
        (["--style", "style.png"], 2, "CONTENT"),
    ],
)
def test_bad_inputs_are_told_in_one_line(
    run: Run, tiny: list[str], here: Path, words: list[str], code: int, message: str
) -> None:
    (here / "text.jpg").write_text("text")
    Image.new("RGB", (1, 1)).save("dot.png")
    before = sorted(here.iterdir())
    if "--size" in words:
        tiny = [*tiny[: tiny.index("--size")], *tiny[tiny.index("--size") + 2 :]]
    done = run("stylize", *words, *tiny, *([] if "-o" in words else ["-o", "o.png"]))
    assert done.code == code
    assert done.err.startswith("error: ")
    assert message in done.err
    assert done.err.count("\n") == 1
    assert sorted(here.iterdir()) == before


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (MemoryError(), 1, "Use a smaller --size"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), 1, "Use a smaller --size"),
        (RuntimeError("something else"), 1, "internal error: RuntimeError: something else (run with --debug"),
        (KeyboardInterrupt(), 130, ""),
        (BrokenPipeError(), 1, ""),
        (PermissionError(13, "Permission denied", "o.png"), 1, "o.png: Permission denied"),
    ],
)
def test_failures_in_the_midst(
    run: Run,
    tiny: list[str],
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    code: int,
    message: str,
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise error

    monkeypatch.setattr("impasto.cli.painting.painted", fail)
    monkeypatch.setattr("impasto.cli.main._close_stdout", lambda: None)
    done = run("stylize", "content.png", "--style", "style.png", *tiny, "-o", "o.png")
    assert done.code == code
    assert message in done.err
    assert "Traceback" not in done.err
    again = run("stylize", "content.png", "--style", "style.png", *tiny, "-o", "o.png", "--debug")
    assert "Traceback" in again.err
    assert again.code == code


def test_notes_of_steps_are_told(run: Run, tiny: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    shown = painting.Shown.__call__
    noted = lambda self, step: shown(self, dataclasses.replace(step, note="went back"))  # noqa: E731
    monkeypatch.setattr(painting.Shown, "__call__", noted)
    done = run("stylize", "content.png", "--style", "style.png", *tiny, "-o", "o.png")
    assert "step 1: went back" in done.err


def test_the_bar_says_where_painting_stands(run: Run, tiny: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    texts: list[str] = []
    monkeypatch.setattr(Bar, "show", lambda self, done, total, text: texts.append(f"{done / total:.0%} {text}"))
    assert run("stylize", "content.png", "--style", "style.png", *tiny, "--scales", "1", "-o", "o.png").code == 0
    assert texts[0].startswith("50% o.png  step 1/2  48×36  content ")
    assert texts[1].startswith("100% o.png  step 2/2  48×36  0:0")
    assert "  style " in texts[1]
