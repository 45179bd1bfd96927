"""`stylize`, `Painting` and `evaluate`, as a program calls them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import impasto
from impasto import api
from impasto.api import ColourOptions, Job, LossOptions, OptimiseOptions, OutputOptions, PaintOptions, SizeOptions
from impasto.core.errors import ImageError, ImageTooSmall, ImageUnreadable, OptionError, StateError
from impasto.encoders.table import Encoder
from impasto.image import files
from impasto.image.colour import luminance
from impasto.image.pixels import to_bytes
from impasto.image.resize import resized
from impasto.metrics.pixels import ssim
from impasto.session.image_like import picture_from

Stylize = Callable[..., api.Painting]


@pytest.fixture
def options(small_job: Callable[..., Job]) -> dict[str, Any]:
    job = small_job()
    return {"size": 48, "paint": job.paint, "losses": job.losses, "optimise": job.optimise}


@pytest.fixture
def stylize(options: dict[str, Any]) -> Stylize:
    def painted(content: Any, style: Any, **more: Any) -> api.Painting:
        return api.stylize(content, style, **(options | more))

    return painted


def as_array(image: Tensor, bits: int = 8) -> np.ndarray[Any, Any]:
    found: np.ndarray[Any, Any] = to_bytes(image, bits=bits)[0]
    return found


# Kinds of pictures


def test_files_by_path_and_name(stylize: Stylize, there: Path) -> None:
    by_path = stylize(there / "content.png", there / "style.png")
    by_name = stylize(str(there / "content.png"), [str(there / "style.png")])
    assert by_path.pixels.shape == (1, 3, 43, 48)
    assert torch.equal(by_path.pixels, by_name.pixels)
    assert by_path.recipe is not None


def test_one_picture_given_in_many_ways(stylize: Stylize, there: Path, painting: Tensor) -> None:
    from_file = stylize(there / "content.png", there / "style.png")
    content = files.read(there / "content.png").pixels
    eight = as_array(content)
    deep = eight.astype(np.uint16) * 257
    style = files.read(there / "style.png").pixels
    for given in (
        content,
        content.double(),
        eight,
        deep,
        Image.fromarray(eight),
        np.dstack([eight, eight[..., :1] | 255]),
    ):
        painted = stylize(given, style)
        assert torch.equal(painted.pixels, from_file.pixels), type(given)
        assert painted.recipe is None
    mixed = stylize(there / "content.png", style)  # one of them in memory is enough
    assert mixed.recipe is None
    assert torch.equal(mixed.pixels, from_file.pixels)


GREY = np.arange(64 * 80, dtype=np.uint32).reshape(64, 80) % 256
CLEAR = np.full((64, 80), 128)


@pytest.mark.parametrize(
    "mode", ["L", "LA", "1", "P", "RGB", "RGBA", "CMYK", "I;16", "I;16B", "HSV", "YCbCr", "LAB", "RGBa", "La"]
)
def test_every_mode_of_pillow(mode: str) -> None:
    if mode.startswith("I;16"):
        order = ">" if mode.endswith("B") else "<"
        image = Image.frombytes(mode, (80, 64), (GREY * 257).astype(f"{order}u2").tobytes())
    elif mode in ("RGBa", "La"):
        image = Image.fromarray(np.dstack([GREY] * 3 + [CLEAR]).astype(np.uint8))
        image = image.convert("RGBa") if mode == "RGBa" else image.convert("LA").convert("La")
    elif mode == "LAB":
        image = Image.new("LAB", (80, 64), (128, 128, 128))
    else:
        image = Image.fromarray(GREY.astype(np.uint8)).convert(mode)
    found = picture_from(image)
    assert image.mode == mode
    assert found.pixels.shape == (1, 3, 64, 80)
    assert found.bits == (16 if mode.startswith("I;16") else 8)
    assert (found.alpha is not None) == (mode in ("LA", "RGBA", "RGBa", "La"))
    if mode in ("L", "LA", "P", "RGB", "RGBA", "I;16", "I;16B"):
        expected = torch.from_numpy(GREY.astype(np.float32) / 255)
        torch.testing.assert_close(found.pixels[0, 1], expected, atol=1e-6, rtol=0)


def test_a_palette_with_a_transparent_colour() -> None:
    image = Image.fromarray((GREY > 99).astype(np.uint8), "L").convert("P")
    image.info["transparency"] = 1
    alpha = picture_from(image).alpha
    assert alpha is not None
    assert torch.equal(alpha[0, 0] == 0, torch.from_numpy(GREY > 99))


def test_arrays_of_both_depths() -> None:
    grey = picture_from(GREY.astype(np.uint8))
    assert torch.equal(grey.pixels[:, 0], grey.pixels[:, 2])
    deep = picture_from(np.dstack([GREY] * 3 + [CLEAR * 257]).astype(np.uint16))
    assert (deep.bits, deep.pixels.shape) == (16, (1, 3, 64, 80))
    assert deep.alpha is not None
    assert float(deep.alpha.mean()) == pytest.approx(128 / 255, abs=1e-3)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (torch.zeros(2, 3, 8, 8), r"\(1, 3, h, w\)"),
        (torch.zeros(1, 4, 8, 8), r"\(1, 3, h, w\)"),
        (torch.zeros(1, 3, 0, 8), r"\(1, 3, h, w\)"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), "uint8"),
        (torch.full((1, 3, 8, 8), 255.0), "values are 255 to 255"),
        (torch.full((1, 3, 8, 8), -0.1), "Scale or clamp"),
        (torch.full((1, 3, 8, 8), float("nan")), "values are nan"),
        (np.zeros((8, 8, 2), np.uint8), r"shape \(8, 8, 2\)"),
        (np.zeros((1, 8, 8, 3), np.uint8), r"shape \(1, 8, 8, 3\)"),
        (np.zeros(8, np.uint8), r"shape \(8,\)"),
        (np.zeros((0, 8, 3), np.uint8), r"shape \(0, 8, 3\)"),
        (np.full((8, 8, 3), 2.0), "Scale or clamp"),
        (np.zeros((8, 8, 3), np.int64), "int64"),
        (Image.new("F", (8, 8)), "mode F"),
        (Image.new("I", (8, 8)), "mode I"),
        (None, "NoneType is not a picture"),
        (7, "int is not a picture"),
    ],
)
def test_what_is_no_picture(given: Any, message: str, stylize: Stylize, photo: Tensor) -> None:
    with pytest.raises(ImageError, match=message):
        stylize(given, photo)
    with pytest.raises(ImageError, match=message):
        stylize(photo, given)


def test_pictures_with_nothing_to_see(stylize: Stylize, photo: Tensor, options: dict[str, Any]) -> None:
    dot = torch.zeros(1, 3, 1, 1)
    with pytest.raises(ImageTooSmall, match="content is 1×1 px"):
        stylize(dot, photo)
    with pytest.raises(ImageTooSmall, match="1×1 px"):
        stylize(photo, dot)
    with pytest.raises(ImageTooSmall, match="Use a larger `size`"):
        stylize(photo, photo, size=2)
    with pytest.raises(ImageUnreadable, match="does not exist"):
        stylize("nowhere.png", photo)


# Styles


def test_lists_and_weights(stylize: Stylize, photo: Tensor, painting: Tensor) -> None:
    other = painting.flip(1)
    alone = stylize(photo, painting).pixels
    assert torch.equal(stylize(photo, [painting]).pixels, alone)
    assert torch.equal(stylize(photo, (painting, 3.0)).pixels, alone)
    assert torch.equal(stylize(photo, [(painting, 1), (other, 0)]).pixels, alone)
    assert torch.equal(stylize(photo, [(painting, np.float32(2.0)), (other, 0.0)]).pixels, alone)
    both = stylize(photo, [painting, other]).pixels
    assert torch.equal(stylize(photo, (painting, other)).pixels, both)
    assert not torch.equal(both, alone)


@pytest.mark.parametrize("style", [[], [("a.png", 1.0, 2.0)], [("a.png", "b.png")]])
def test_what_is_no_style(style: Any, stylize: Stylize, photo: Tensor) -> None:
    with pytest.raises(OptionError, match=r"no style is given|\(picture, weight\)"):
        stylize(photo, style)


def test_sizes(stylize: Stylize, photo: Tensor, painting: Tensor) -> None:
    assert stylize(photo, painting, size=0).pixels.shape == photo.shape
    assert stylize(photo, painting, size=SizeOptions(exact=(40, 30))).pixels.shape == (1, 3, 30, 40)


# Strength and colours


def test_no_strength_gives_the_content_back(stylize: Stylize, photo: Tensor, painting: Tensor) -> None:
    found = stylize(photo, painting, strength=0.0, size=0).pixels
    assert torch.equal(found, photo)
    assert ssim(found, photo) == pytest.approx(1.0, abs=1e-6)
    assert not torch.equal(stylize(photo, painting, size=0).pixels, photo)


def test_strength_is_the_parameter_and_not_the_options(stylize: Stylize, photo: Tensor, painting: Tensor) -> None:
    found = stylize(
        photo, painting, strength=0.0, size=0, paint=PaintOptions(method="optimise", strength=5.0, alpha="drop")
    )
    assert torch.equal(found.pixels, photo)


def test_kept_colours_are_the_contents(stylize: Stylize, painting: Tensor) -> None:
    from skimage import color

    muted = 0.35 + 0.3 * painting  # no colour leaves the gamut when its luminance changes a little
    found = stylize(muted, painting.flip(3), size=0, colour=ColourOptions(keep_colours="yiq")).pixels
    plain = stylize(muted, painting.flip(3), size=0).pixels
    chroma, wanted = (color.rgb2yiq(p[0].permute(1, 2, 0).double().numpy())[..., 1:] for p in (found, muted))
    inside = np.abs(chroma - wanted).max(axis=-1) < 1e-5
    assert inside.mean() > 0.9
    assert bool((np.linalg.norm(chroma, axis=-1) <= np.linalg.norm(wanted, axis=-1) + 1e-5).all())  # never more
    torch.testing.assert_close(luminance(found), luminance(plain), atol=1e-5, rtol=0)


def test_kept_luminance_is_the_contents(stylize: Stylize, photo: Tensor, painting: Tensor) -> None:
    found = stylize(photo, painting, size=0, colour=ColourOptions(keep_luminance="yiq")).pixels
    torch.testing.assert_close(luminance(found), luminance(photo), atol=1e-5, rtol=0)


# Saving


def test_the_file_carries_its_recipe(stylize: Stylize, there: Path) -> None:
    painted = stylize(there / "content.png", there / "style.png")
    painted.save(there / "out.png")
    assert not (there / "out.png.json").exists()
    found = api.recipe_of(there / "out.png")
    assert found.job.content == "content.png"
    assert np.array_equal(as_array(files.read(there / "out.png").pixels), as_array(painted.pixels))


def test_paths_follow_the_file_to_its_folder(
    stylize: Stylize, there: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(there)
    painted = stylize("content.png", "style.png")
    for name in ("here.png", "sub/deep/there.png"):
        painted.save(name)
        monkeypatch.chdir(tmp_path)
        again = api.redo(there / name, output=tmp_path / "again.png")
        *_, last = again.steps()
        assert torch.equal(again.painting(last).pixels, painted.pixels)
        monkeypatch.chdir(there)


@pytest.mark.parametrize(
    ("name", "saving", "beside"),
    [
        ("o.bmp", None, True),
        ("o.jpg", None, False),
        ("o.jpg", OutputOptions(sidecar=True), True),
        ("o.tif", OutputOptions(bits=16), False),
    ],
)
def test_sidecars(name: str, saving: OutputOptions | None, beside: bool, stylize: Stylize, there: Path) -> None:
    painted = stylize(there / "content.png", there / "style.png")
    painted.save(there / name, saving)
    sidecar = api.sidecar_path(there / name)
    assert sidecar.is_file() == beside
    assert painted.recipe is not None
    assert api.recipe_of(there / name).job.size == painted.recipe.job.size
    if beside:
        assert json.loads(sidecar.read_text("utf-8"))["job"]["content"] == "content.png"
        assert api.recipe_of(sidecar).to_json() == api.recipe_of(there / name).to_json()
    assert not [path for path in there.iterdir() if path.name.startswith(".")]


def test_a_sidecar_of_another_picture_goes(stylize: Stylize, there: Path, photo: Tensor) -> None:
    stylize(there / "content.png", there / "style.png").save(there / "o.bmp")
    api.Painting(photo).save(there / "o.bmp")
    with pytest.raises(StateError, match="carries no recipe"):
        api.recipe_of(there / "o.bmp")
    mine = there / "o.png.json"
    mine.write_text('{"mine": 1}')
    api.Painting(photo).save(there / "o.png")
    assert mine.read_text() == '{"mine": 1}'


def test_alpha_comes_back(stylize: Stylize, photo: Tensor, painting: Tensor, tmp_path: Path) -> None:
    pixels = np.dstack([as_array(photo), np.full((72, 80), 77, np.uint8)])
    painted = stylize(pixels, painting)
    painted.save(tmp_path / "o.png")
    with Image.open(tmp_path / "o.png") as stored:
        assert stored.mode == painted.to_pil().mode == "RGBA"
        assert np.array_equal(np.asarray(stored), np.asarray(painted.to_pil()))
    assert set(np.asarray(painted.to_pil())[..., 3].flat) == {77}
    dropped = stylize(pixels, painting, paint=PaintOptions(method="optimise", alpha="drop"))
    assert dropped.to_pil().mode == "RGB"


# Measures


def test_rows_of_an_evaluation(photo: Tensor, painting: Tensor, encoder: Encoder) -> None:
    rows = api.evaluate(photo, photo, style=painting, encoder=encoder)
    assert set(rows) == {"output", "content copy", "style copy"}
    assert rows["output"] == rows["content copy"]
    assert rows["content copy"]["content"] == pytest.approx(0, abs=1e-6)
    assert rows["output"]["ssim"] == pytest.approx(1, abs=1e-6)
    for name in ("style-gram", "style-sliced", "colour"):
        assert rows["style copy"][name] < 0.5 * rows["output"][name]
    assert rows["style copy"]["content"] > 0.1


def test_an_evaluation_reads_the_recipe(stylize: Stylize, there: Path, encoder: Encoder, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    stylize(there / "content.png", there / "style.png", size=SizeOptions(size=64)).save(out)
    rows = api.evaluate(out, encoder=encoder)
    assert rows == api.evaluate(out, there / "content.png", style=there / "style.png", encoder=encoder)
    other = api.evaluate(out, style=there / "content.png", encoder=encoder)
    assert other["output"]["ssim"] == rows["output"]["ssim"]
    assert other["output"]["style-gram"] != rows["output"]["style-gram"]


def test_an_evaluation_refuses_inputs_that_have_changed(
    stylize: Stylize, there: Path, encoder: Encoder, tmp_path: Path
) -> None:
    out = tmp_path / "out.png"
    stylize(there / "content.png", there / "style.png", size=SizeOptions(size=64)).save(out)
    (there / "style.png").write_bytes((there / "content.png").read_bytes())
    with pytest.raises(StateError, match=r"style\.png has changed since .* Name the content and style"):
        api.evaluate(out, encoder=encoder)


def test_an_evaluation_of_a_picture_without_recipe(photo: Tensor, there: Path, encoder: Encoder) -> None:
    with pytest.raises(StateError, match="carries no recipe"):
        api.evaluate(there / "content.png", encoder=encoder)
    with pytest.raises(OptionError, match="in memory has no recipe"):
        api.evaluate(photo, encoder=encoder)


def test_several_styles_are_measured_by_their_mean(photo: Tensor, painting: Tensor, encoder: Encoder) -> None:
    one, other, both = (
        api.evaluate(photo, photo, style=styles, encoder=encoder)["output"]
        for styles in (painting, painting.flip(1), [painting, painting.flip(1)])
    )
    assert both["colour"] == pytest.approx((one["colour"] + other["colour"]) / 2)
    assert both["ssim"] == pytest.approx(one["ssim"])


def test_the_size_of_the_files_does_not_matter(photo: Tensor, painting: Tensor, encoder: Encoder) -> None:
    """A content and a style of more pixels than the output are compared at the output's size."""
    large = [resized(picture, (3 * picture.shape[-2], 3 * picture.shape[-1])) for picture in (photo, painting)]
    rows, full = (
        api.evaluate(photo, pictures[0], style=pictures[1], encoder=encoder) for pictures in ((photo, painting), large)
    )
    assert full["output"]["content"] == pytest.approx(rows["output"]["content"], abs=0.05)
    assert full["output"]["style-gram"] == pytest.approx(rows["output"]["style-gram"], rel=0.2)


def test_an_evaluation_sees_transparency_as_white(photo: Tensor, painting: Tensor, encoder: Encoder) -> None:
    half = np.full((72, 80), 255, np.uint8)
    half[:, :40] = 0
    white = as_array(photo).copy()
    white[:, :40] = 255
    cut = np.dstack([as_array(photo), half])
    assert api.evaluate(cut, white, style=painting, encoder=encoder) == api.evaluate(
        white, cut, style=painting, encoder=encoder
    )


def test_an_encoder_by_its_file(photo: Tensor, painting: Tensor, there: Path, encoder: Encoder) -> None:
    by_file = api.evaluate(photo, photo, style=painting, encoder=str(there / "tiny.safetensors"))
    assert by_file == api.evaluate(photo, photo, style=painting, encoder=encoder)


def test_the_package_offers_the_api() -> None:
    assert impasto.stylize is api.stylize
    for name in api.__all__:
        assert getattr(impasto, name) is getattr(api, name)
    assert isinstance(LossOptions(), impasto.LossOptions)
    assert OptimiseOptions is impasto.OptimiseOptions
