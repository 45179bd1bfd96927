"""What a stylizer is given, from files and options."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from impasto.config.job import Job, PaintOptions, StyleSource
from impasto.config.optimise import LossOptions, OptimiseOptions
from impasto.config.pictures import ColourOptions, SizeOptions
from impasto.core.errors import ImageError, ImageTooSmall, ImageUnreadable, OptionError
from impasto.encoders.table import Encoder
from impasto.image import files
from impasto.image.files import Picture
from impasto.methods.table import METHODS
from impasto.session.inputs import Inputs, output_size, read_inputs, style_size
from impasto.session.opened import open_session
from impasto.session.plan import plan_job
from impasto.stylizers.optimised import Optimised


@pytest.fixture
def job_of(tmp_path: Path, photo: Tensor, painting: Tensor) -> Callable[..., Job]:
    """`job_of(size=…, paint=…)` on a content of 80×72 px and a style of 76×64 px."""
    files.write(tmp_path / "content.png", photo)
    files.write(tmp_path / "style.png", painting)

    def made(*, style: dict[str, Any] | None = None, more: tuple[StyleSource, ...] = (), **options: Any) -> Job:
        source = StyleSource(**{"source": str(tmp_path / "style.png"), **(style or {})})
        return Job(content=str(tmp_path / "content.png"), styles=(source, *more), **options)

    return made


def in_memory(**options: Any) -> Job:
    return Job(content="(in memory)", styles=(StyleSource(source="(in memory)"),), **options)


def mask_file(path: Path, left: float, right: float, *, size: tuple[int, int] = (72, 80)) -> Path:
    mask = torch.full((1, 1, *size), left)
    mask[..., size[1] // 2 :] = right
    files.write(path, mask)
    return path


# Sizes


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"size": 40}, (36, 40)),
        ({"size": 0}, (72, 80)),
        ({"size": 160}, (144, 160)),
        ({"short_side": 36}, (36, 40)),
        ({"megapixels": 0.0036 * 0.4}, (36, 40)),
        ({"exact": (30, 50)}, (50, 30)),
    ],
)
def test_each_way_of_giving_the_size(options: dict[str, Any], expected: tuple[int, int]) -> None:
    assert output_size((72, 80), SizeOptions(**options)) == expected


def test_content_and_alpha_have_the_outputs_size(job_of: Callable[..., Job], photo: Tensor) -> None:
    found = read_inputs(plan_job(job_of(size=SizeOptions(size=40))))
    assert found.content.shape == (1, 3, 36, 40)
    assert found.alpha is found.cover is found.init_picture is None
    whole = read_inputs(plan_job(job_of(size=SizeOptions(size=0))))
    torch.testing.assert_close(whole.content, photo, atol=0.6 / 255, rtol=0)


# Alpha


@pytest.fixture
def cutout(photo: Tensor) -> Picture:
    alpha = torch.ones(1, 1, 72, 80)
    alpha[..., :40] = 0
    return Picture(photo, alpha)


def test_alpha_is_kept(cutout: Picture, painting: Tensor) -> None:
    found = read_inputs(plan_job(in_memory(size=SizeOptions(size=40)), content=cutout, pictures=[Picture(painting)]))
    assert found.alpha is not None
    assert found.alpha.shape == (1, 1, 36, 40)
    assert float(found.alpha[..., :18].max()) == 0
    assert float(found.alpha[..., 22:].min()) == 1


def test_dropped_alpha_leaves_white(cutout: Picture, painting: Tensor, photo: Tensor) -> None:
    job = in_memory(size=SizeOptions(size=0), paint=PaintOptions(alpha="drop"))
    found = read_inputs(plan_job(job, content=cutout, pictures=[Picture(painting)]))
    assert found.alpha is None
    assert bool((found.content[..., :40] == 1).all())
    assert torch.equal(found.content[..., 40:], photo[..., 40:])


def test_a_styles_transparency_is_white(cutout: Picture, painting: Tensor) -> None:
    (style,) = read_inputs(
        plan_job(in_memory(size=SizeOptions(size=0)), content=Picture(painting), pictures=[cutout])
    ).mix.styles
    assert style.picture is not None
    assert bool((style.picture[..., :36] > 0.999).all())  # 80 px came to 76
    assert not bool((style.picture[..., 44:] > 0.999).all())


# Styles


@pytest.mark.parametrize("scale", [0.05, 0.3, 1.0, 20.0])
@pytest.mark.parametrize("size_hw", [(40, 2000), (2000, 40), (300, 3000), (1000, 1000), (33, 33)])
@pytest.mark.parametrize("output_hw", [(64, 64), (512, 300)])
@pytest.mark.parametrize("least", sorted({row.style_short_side_px for row in METHODS.values()}))
def test_what_is_kept_of_a_style(
    size_hw: tuple[int, int], output_hw: tuple[int, int], scale: float, least: int
) -> None:
    kept = style_size(size_hw, output_hw, scale=scale, short_side_px=least)
    assert kept[0] <= size_hw[0]
    assert kept[1] <= size_hw[1]
    assert min(kept) >= min(least, *size_hw)
    assert max(kept) >= min(max(size_hw), round(max(output_hw) * scale))
    assert kept[0] / size_hw[0] == pytest.approx(kept[1] / size_hw[1], abs=1 / min(size_hw))


def test_a_huge_style_is_not_kept_whole() -> None:
    assert style_size((10_000, 10_000), (512, 512), scale=1.0, short_side_px=256) == (512, 512)
    assert style_size((2_500, 40_000), (512, 300), scale=1.0, short_side_px=256) == (256, 4096)


@pytest.mark.parametrize(("size_hw", "scale"), [((40, 1200), 1.0), ((1200, 40), 1.0), ((64, 76), 0.05)])
def test_a_wide_style_or_small_strokes_can_be_painted(
    size_hw: tuple[int, int], scale: float, draw_painting: Callable[[int, int], Tensor], photo: Tensor, encoder: Encoder
) -> None:
    source = StyleSource(source="(in memory)", scale=scale)
    paint = PaintOptions(method="optimise")
    job = Job(content="(in memory)", styles=(source,), size=SizeOptions(size=64), paint=paint)
    found = read_inputs(plan_job(job, content=Picture(photo), pictures=[Picture(draw_painting(*size_hw))]))
    stylizer = Optimised(encoder, LossOptions(), OptimiseOptions(steps=(1,), scales=1))
    *_, last = stylizer.paint(found.content, stylizer.prepare(found.mix))
    assert bool(torch.isfinite(last.image).all())


@pytest.mark.parametrize("match", ["histogram", "covariance"])
def test_styles_take_the_contents_colours(match: str, job_of: Callable[..., Job]) -> None:
    jobs = [job_of(colour=ColourOptions(match_style=name)) for name in ("no", match)]
    plain, matched = (read_inputs(plan_job(job)) for job in jobs)
    content = matched.content.mean((2, 3))
    near = (matched.mix.first.picture.mean((2, 3)) - content).abs().max()
    assert float(near) < 0.03
    assert float((plain.mix.first.picture.mean((2, 3)) - content).abs().max()) > 0.05


def test_sources_say_weight_scale_and_name(job_of: Callable[..., Job], tmp_path: Path) -> None:
    other = StyleSource(source=str(tmp_path / "content.png"), weight=3.0)
    mix = read_inputs(plan_job(job_of(style={"weight": 1.0, "scale": 2.0}, more=(other,)))).mix
    assert [(style.name, style.weight, style.scale) for style in mix.styles] == [
        ("style.png", 1.0, 2.0),
        ("content.png", 3.0, 1.0),
    ]


# Masks


def test_masks_are_read_feathered_and_joined(job_of: Callable[..., Job], tmp_path: Path) -> None:
    left = mask_file(tmp_path / "left.png", 1.0, 0.0)
    middle = torch.zeros(1, 1, 36, 40)
    middle[..., 16:24] = 1
    files.write(tmp_path / "middle.png", middle)
    other = StyleSource(source=str(tmp_path / "content.png"), mask=tmp_path / "middle.png")
    job = job_of(style={"mask": left}, more=(other,), size=SizeOptions(size=80), paint=PaintOptions(feather=0.0))
    hard = read_inputs(plan_job(job))
    masks = [style.mask for style in hard.mix.styles if style.mask is not None]
    assert [mask.shape for mask in masks] == [(1, 1, 72, 80)] * 2
    assert hard.cover is not None
    torch.testing.assert_close(hard.cover, torch.maximum(*masks))
    assert float(hard.cover[..., :46].min()) == 1
    assert float(hard.cover[..., 50:].max()) == 0
    soft = read_inputs(
        plan_job(job_of(style={"mask": left}, size=SizeOptions(size=80), paint=PaintOptions(feather=0.05)))
    )
    assert soft.cover is not None
    row = soft.cover[0, 0, 36]
    assert bool((row.diff() <= 1e-6).all())
    assert float(row[40]) == pytest.approx(0.5, abs=0.06)
    assert int(((row > 0.02) & (row < 0.98)).sum()) > 8


def test_a_mask_for_each_style_or_none(job_of: Callable[..., Job], tmp_path: Path) -> None:
    other = StyleSource(source=str(tmp_path / "content.png"))
    with pytest.raises(OptionError, match="some styles have a mask"):
        read_inputs(plan_job(job_of(style={"mask": mask_file(tmp_path / "m.png", 1.0, 0.0)}, more=(other,))))
    with pytest.raises(ImageError, match="black everywhere"):
        read_inputs(plan_job(job_of(style={"mask": mask_file(tmp_path / "m.png", 0.0, 0.0)})))


def test_the_rest_is_what_the_other_masks_leave(job_of: Callable[..., Job], tmp_path: Path) -> None:
    masks = [mask_file(tmp_path / "left.png", 0.6, 0.0), mask_file(tmp_path / "both.png", 0.6, 0.25), Path("rest")]
    styles = [StyleSource(source=str(tmp_path / "content.png"), mask=mask) for mask in masks]

    def read(*more: StyleSource, **style: object) -> Inputs:
        paint = PaintOptions(feather=0.0)
        return read_inputs(plan_job(job_of(style=style, more=more, size=SizeOptions(size=80), paint=paint)))

    found = read(styles[1], styles[2], mask=masks[0])
    *others, rest = [style.mask for style in found.mix.styles if style.mask is not None]
    torch.testing.assert_close(rest, (1 - sum(others)).clamp(min=0))
    assert (float(rest[..., :30].max()), float(rest[..., 50:].min())) == (0, pytest.approx(0.75, abs=0.01))
    assert found.cover is None  # nothing of the content stays, not even at the feathered edges
    with pytest.raises(ImageError, match="cover the whole content"):
        read(styles[2], mask=mask_file(tmp_path / "all.png", 1.0, 1.0))
    for refused in ((), (styles[2],), (styles[2], styles[0])):  # alone, twice
        with pytest.raises(OptionError, match=r"`mask=rest` is given to \d of \d styles; it means all pixels"):
            read(*refused, mask=masks[2])
    with pytest.raises(OptionError, match="a mask to each of the others"):
        read(styles[2])


# Other inputs


def test_the_start_is_read_only_when_it_is_asked_for(job_of: Callable[..., Job], tmp_path: Path) -> None:
    path = tmp_path / "style.png"
    paint = PaintOptions(method="optimise")
    unused = job_of(paint=paint, optimise=OptimiseOptions(init_picture=path))
    assert read_inputs(plan_job(unused)).init_picture is None
    used = job_of(paint=paint, optimise=OptimiseOptions(init_picture=path, init="picture"))
    found = read_inputs(plan_job(used)).init_picture
    assert found is not None
    assert found.shape == (1, 3, 64, 76)


def test_pictures_without_anything_to_see(painting: Tensor) -> None:
    dot, whole = Picture(torch.zeros(1, 3, 1, 1)), Picture(painting)
    with pytest.raises(ImageTooSmall, match="content is 1×1 px; 2 px"):
        read_inputs(plan_job(in_memory(), content=dot, pictures=[whole]))
    with pytest.raises(ImageTooSmall, match=r"the style \(in memory\) is 1×1 px; 2 px"):
        read_inputs(plan_job(in_memory(), content=whole, pictures=[dot]))
    read_inputs(plan_job(in_memory(), content=Picture(torch.zeros(1, 3, 2, 2)), pictures=[whole]))


def test_a_missing_file(job_of: Callable[..., Job], tmp_path: Path) -> None:
    with pytest.raises(ImageUnreadable, match=r"none\.png does not exist"):
        read_inputs(plan_job(job_of(style={"source": str(tmp_path / "none.png")})))


@pytest.mark.parametrize(
    ("scale", "expected"), [(0.5, (150, 256)), (1.0, (200, 341)), (2.0, (400, 682)), (4.0, (800, 1364))]
)
def test_scales_above_1_enlarge_a_small_style_for_an_encoder(scale: float, expected: tuple[int, int]) -> None:
    """A style of 341 px for an output of 512 px: each scale has a size of its own."""
    assert style_size((200, 341), (512, 512), scale=scale, short_side_px=64, enlarge=True) == expected
    assert style_size((200, 341), (512, 512), scale=4.0, short_side_px=64) == (200, 341)


def test_style_scales_differ_in_one_pass(quick_job: Callable[..., Job], there: Path) -> None:
    pictures = []
    for scale in (1.0, 2.0, 4.0):
        source = StyleSource(source=str(there / "style.png"), scale=scale)
        *_, last = open_session(quick_job(styles=(source,))).steps()
        pictures.append(last.picture())
    assert not torch.allclose(pictures[1], pictures[0], atol=1e-3)
    assert not torch.allclose(pictures[2], pictures[1], atol=1e-3)
