"""`impasto texture`: a style alone, at any size."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from in_process import Run

from impasto import api


@pytest.fixture(params=["optimise", "arbitrary"])
def words(request: pytest.FixtureRequest, tiny: list[str], quick: list[str]) -> list[str]:
    """Options with which each method takes no time."""
    return tiny if request.param == "optimise" else ["--method", "arbitrary", *quick]


def test_a_texture_has_no_content_and_can_be_made_again(run: Run, words: list[str], here: Path) -> None:
    (here / "content.png").unlink()
    assert run("texture", "style.png", *words, "-o", "a.png").code == 0
    assert run("redo", "a.png", "-o", "b.png").code == 0
    assert (here / "a.png").read_bytes() == (here / "b.png").read_bytes()
    recipe = api.recipe_of("a.png")
    assert "style.png" in recipe.inputs
    assert recipe.job.content not in recipe.inputs
    assert api.read("a.png").size_hw == (48, 48)


def test_another_seed_gives_another_texture(run: Run, words: list[str], here: Path) -> None:
    for seed in ("1", "2"):
        assert run("texture", "style.png", *words, "--seed", seed, "-o", f"{seed}.png").code == 0
    one, two = (api.read(f"{seed}.png").pixels for seed in ("1", "2"))
    assert float((one - two).abs().mean()) > 0.01


def test_optimisation_starts_from_noise_without_a_content(run: Run, tiny: list[str], here: Path) -> None:
    assert run("texture", "style.png", *tiny, "--tv-weight", "2", "-o", "a.png").code == 0
    job = api.recipe_of("a.png").job
    assert (job.optimise.init, job.losses.content_weight) == ("noise", 0)
    assert job.losses.tv_weight == 2, "a flag counts even where it has the default of other commands"


def test_a_texture_is_nearer_to_its_style_than_the_noise(run: Run, tiny: list[str], here: Path) -> None:
    words = ["20" if word == "2" else word for word in tiny]
    assert run("texture", "style.png", *words, "--scales", "1", "-o", "a.png").code == 0
    style, made = (api.read(name).pixels for name in ("style.png", "a.png"))
    noise = torch.full_like(made, 0.5)

    def colours(picture: torch.Tensor) -> torch.Tensor:
        return torch.stack(torch.std_mean(picture[0].flatten(1), dim=1))

    target = colours(style)
    assert float((colours(made) - target).norm()) < 0.5 * float((colours(noise) - target).norm())


@pytest.mark.parametrize(("size", "scale"), [("40", 1.0), ("800", None)])
def test_strokes_are_as_large_as_in_the_style(size: str, scale: float | None, here: Path) -> None:
    look = api.LookOptions(paint=api.PaintOptions(method="arbitrary"), size=api.SizeOptions(size=int(size)))
    plan = api.texture_plan([api.StyleSource(source="style.png")], look, own_scale=True)
    own = max(api.read("style.png").size_hw) / int(size)
    assert plan.job.styles[0].scale == (own if scale is None else scale)
    assert api.texture_plan([api.StyleSource(source="style.png")], look, own_scale=False).job.styles[0].scale == 1


def test_the_default_name_and_what_is_refused(run: Run, quick: list[str], here: Path) -> None:
    words = ["texture", "style.png", "--method", "arbitrary", *quick]
    assert run(*words).out == "style-texture.png\n"
    assert run(*words).out == "style-texture-2.png\n"
    assert "is one of the inputs" in run(*words, "-o", "style.png").err
    assert "--tv-weight" in run(*words, "--tv-weight", "3").err
    assert "a texture has no content" in run("evaluate", "style-texture.png").err


def test_tileable_textures_have_no_seam(run: Run, words: list[str], here: Path) -> None:
    seams = []
    for tileable in ("no", "xy"):
        wide = ["64" if word == "48" else word for word in words]
        assert run("texture", "style.png", *wide, "--tileable", tileable, "-o", "a.png").code == 0
        pixels = api.read("a.png").pixels
        steps = (pixels - pixels.roll(1, -1)).abs().mean((0, 1, 2))  # the first one is the step across the edges
        seams.append(float(steps[0] / steps[1:].max()))
    assert seams[1] < min(1.2, seams[0])
    assert api.recipe_of("a.png").job.size.tileable == "xy"


def test_sides_of_a_tileable_picture(run: Run, quick: list[str], here: Path) -> None:
    words = ["stylize", "content.png", "--style", "style.png", *quick[:2], "--tileable", "x"]
    assert run(*words, "--size", "70", "-o", "a.png").code == 0
    assert api.read("a.png").size_hw[1] == 64
    exact = run(*words, "--exact", "70x48")
    assert exact.code == 2
    assert "70×48 px; --tileable needs a width in multiples of 32 px. Use 64×48 px" in exact.err
