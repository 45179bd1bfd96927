"""Reading: every mode, depth, orientation and kind of damage."""

from __future__ import annotations

import io
import sys
import zlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import tifffile
import torch
from PIL import Image, ImageOps

from impasto.core.errors import ImageTooLarge, ImageUnreadable, MissingExtra
from impasto.image.files import Picture, read, write

RNG = np.random.default_rng
SUFFIXES = [".jpg", ".png", ".webp", ".tif", ".bmp", ".gif", ".avif"]


def levels(picture: Picture) -> np.ndarray:
    """`(h, w, 3)` in whole levels of the picture's depth."""
    return (picture.pixels[0].permute(1, 2, 0).double() * (2**picture.bits - 1)).round().int().numpy()


def alpha_levels(picture: Picture) -> np.ndarray:
    assert picture.alpha is not None
    return (picture.alpha[0, 0].double() * (2**picture.bits - 1)).round().int().numpy()


def smooth(height: int = 24, width: int = 36) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 255 // width, y * 255 // height, (x + y) * 255 // (width + height)], axis=-1).astype(np.uint8)


def deep(*shape: int) -> np.ndarray:
    return RNG(0).integers(0, 65536, shape, dtype=np.uint16)


def png16(samples: np.ndarray, colour_type: int, extra: bytes = b"") -> bytes:
    """A PNG of 16 bits a channel, written independently of the product; `extra` chunks go before the pixels."""
    height, width = samples.shape[:2]
    rows = samples.astype(">u2").tobytes()
    step = len(rows) // height
    raw = b"".join(b"\0" + rows[i * step : (i + 1) * step] for i in range(height))
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([16, colour_type, 0, 0, 0])
    body = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def chunk(name: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_format_reads_as_rgb(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    Image.fromarray(smooth()).save(path)
    picture = read(path)
    assert picture.pixels.shape == (1, 3, 24, 36)
    assert picture.pixels.dtype == torch.float32
    assert picture.size_hw == (24, 36)
    assert picture.bits == 8
    assert picture.alpha is None
    assert np.abs(levels(picture) - smooth()).mean() < 4


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "LAB", "YCbCr", "F"])
def test_every_mode_of_tiff_reads_as_rgb(tmp_path: Path, mode: str) -> None:
    grey = smooth()[..., :1].repeat(3, axis=2)
    image = Image.fromarray(smooth() if mode in ("RGB", "RGBA", "CMYK", "YCbCr") else grey)
    if mode == "LAB":
        image = Image.merge("LAB", [Image.fromarray(grey[..., 0]), *[Image.new("L", (36, 24), 128)] * 2])
    elif mode == "F":
        image = Image.fromarray(grey[..., 0].astype(np.float32) / 255)
    else:
        image = image.convert("L").convert(mode) if mode in ("LA", "P", "PA") else image.convert(mode)
    image.save(tmp_path / "a.tif")
    picture = read(tmp_path / "a.tif")
    assert picture.pixels.shape == (1, 3, 24, 36)
    assert (picture.alpha is not None) == mode.endswith("A")
    if mode in ("L", "LA", "P", "PA", "F", "RGB", "RGBA"):
        assert np.abs(picture.pixels[0].permute(1, 2, 0).numpy() - np.asarray(picture_of(mode)) / 255).max() < 0.03
    if mode == "LAB":
        assert (picture.pixels[:, 0].diff(dim=-1) > -0.01).all()


def picture_of(mode: str) -> np.ndarray:
    return smooth() if mode.startswith("RGB") else smooth()[..., :1].repeat(3, axis=2)


@pytest.mark.parametrize(("mode", "alpha"), [("1", False), ("L", False), ("LA", True), ("P", False), ("RGBA", True)])
def test_modes_of_png(tmp_path: Path, mode: str, alpha: bool) -> None:
    Image.fromarray(smooth()).convert("L").convert(mode).save(tmp_path / "a.png")
    picture = read(tmp_path / "a.png")
    assert picture.pixels.shape == (1, 3, 24, 36)
    assert (picture.alpha is not None) == alpha
    assert torch.equal(picture.pixels[:, 0], picture.pixels[:, 2])


def test_transparent_pixels_keep_their_colour(tmp_path: Path) -> None:
    rgba = np.concatenate([smooth(), np.zeros((24, 36, 1), dtype=np.uint8)], axis=-1)
    rgba[:, 18:, 3] = 200
    for name, settings in [("a.png", {}), ("a.tif", {}), ("a.webp", {"lossless": True, "exact": True})]:
        Image.fromarray(rgba).save(tmp_path / name, **settings)
        picture = read(tmp_path / name)
        assert np.array_equal(levels(picture), smooth())
        assert np.array_equal(alpha_levels(picture), rgba[..., 3])


@pytest.mark.parametrize("suffix", [".png", ".gif"])
def test_a_transparent_palette_entry_becomes_alpha(tmp_path: Path, suffix: str) -> None:
    image = Image.fromarray(np.tile(np.arange(4, dtype=np.uint8), (3, 1)))
    image.putpalette([10, 20, 30, 200, 0, 0, 0, 200, 0, 0, 0, 200])
    image.save(tmp_path / f"a{suffix}", transparency=1)
    picture = read(tmp_path / f"a{suffix}")
    assert alpha_levels(picture)[0].tolist() == [255, 0, 255, 255]
    assert levels(picture)[0].tolist() == [[10, 20, 30], [200, 0, 0], [0, 200, 0], [0, 0, 200]]


@pytest.mark.parametrize(("mode", "key"), [("L", 7), ("RGB", (7, 7, 7)), ("1", 0)])
def test_a_transparent_colour_becomes_alpha(tmp_path: Path, mode: str, key: object) -> None:
    image = Image.new("L", (2, 1), 255)
    image.putpixel((0, 0), 7)
    image.convert(mode).save(tmp_path / "a.png", transparency=key)
    assert alpha_levels(read(tmp_path / "a.png")).tolist() == [[0, 255]]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_pictures_come_upright(tmp_path: Path, orientation: int, suffix: str) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(smooth()).save(tmp_path / f"a{suffix}", exif=exif)
    with Image.open(tmp_path / f"a{suffix}") as image:
        upright = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    assert np.array_equal(levels(read(tmp_path / f"a{suffix}")), upright)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_deep_pictures_come_upright_like_shallow_ones(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    small = smooth(4, 6)
    Image.fromarray(small).save(tmp_path / "a8.png", exif=exif)
    wanted = levels(read(tmp_path / "a8.png")) * 257
    block = chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))
    (tmp_path / "a16.png").write_bytes(png16(small.astype(np.uint16) * 257, 2, block))
    tags = [(274, "H", 1, orientation, True)]
    tifffile.imwrite(tmp_path / "a16.tif", small.astype(np.uint16) * 257, photometric="rgb", extratags=tags)
    for name in ("a16.png", "a16.tif"):
        picture = read(tmp_path / name)
        assert picture.bits == 16
        assert np.array_equal(levels(picture), wanted)


@pytest.mark.parametrize(("channels", "colour_type"), [(1, 0), (2, 4), (3, 2), (4, 6)])
def test_sixteen_bit_png_is_exact(tmp_path: Path, channels: int, colour_type: int) -> None:
    samples = deep(40, 50, channels)
    (tmp_path / "a.png").write_bytes(png16(samples, colour_type))
    picture = read(tmp_path / "a.png")
    assert picture.bits == 16
    colour = samples[..., :3] if channels > 2 else samples[..., :1].repeat(3, axis=2)
    assert np.array_equal(levels(picture), colour)
    assert (picture.alpha is not None) == (channels in (2, 4))
    if picture.alpha is not None:
        assert np.array_equal(alpha_levels(picture), samples[..., -1])


@pytest.mark.parametrize(("channels", "colour_type"), [(1, 0), (3, 2)])
def test_a_transparent_colour_of_sixteen_bits_becomes_alpha(tmp_path: Path, channels: int, colour_type: int) -> None:
    samples = np.full((1, 2, channels), 1000, dtype=np.uint16)
    samples[0, 1] = 1001
    key = chunk(b"tRNS", (1000).to_bytes(2, "big") * channels)
    (tmp_path / "a.png").write_bytes(png16(samples, colour_type, key))
    picture = read(tmp_path / "a.png")
    assert alpha_levels(picture).tolist() == [[0, 65535]]
    assert levels(picture)[0, :, 0].tolist() == [1000, 1001]


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("settings", [{}, {"compression": "zlib"}, {"tile": (16, 16)}, {"planarconfig": "separate"}])
def test_sixteen_bit_tiff_is_exact(tmp_path: Path, byteorder: str, settings: dict[str, object]) -> None:
    samples = deep(20, 30, 3)
    stored = np.moveaxis(samples, -1, 0) if "planarconfig" in settings else samples
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="rgb", byteorder=byteorder, **settings)
    picture = read(tmp_path / "a.tif")
    assert picture.bits == 16
    assert np.array_equal(levels(picture), samples)


@pytest.mark.parametrize("predictor", [1, 2])
def test_sixteen_bit_tiff_in_lzw_is_exact(tmp_path: Path, predictor: int) -> None:
    samples = deep(20, 30)
    Image.fromarray(samples).save(tmp_path / "a.tif", compression="tiff_lzw", tiffinfo={317: predictor})
    picture = read(tmp_path / "a.tif")
    assert picture.bits == 16
    assert np.array_equal(levels(picture)[..., 1], samples)


@pytest.mark.parametrize("coding", ["lzw", "packbits", "raw", "deflate"])
@pytest.mark.parametrize(("channels", "kind"), [(3, "rgb48le"), (4, "rgba64le")])
def test_sixteen_bit_tiff_of_ffmpeg_is_exact(tmp_path: Path, coding: str, channels: int, kind: str) -> None:
    samples = deep(20, 30, channels)
    encoder = av.CodecContext.create("tiff", "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = 30, 20, kind, Fraction(1)
    encoder.options = {"compression_algo": coding}
    packets = [*encoder.encode(av.VideoFrame.from_ndarray(samples, kind)), *encoder.encode(None)]
    (tmp_path / "a.tif").write_bytes(b"".join(map(bytes, packets)))
    picture = read(tmp_path / "a.tif")
    assert picture.bits == 16
    assert np.array_equal(levels(picture), samples[..., :3])


def test_white_is_zero_and_premultiplied_alpha_are_undone(tmp_path: Path) -> None:
    samples = deep(5, 6)
    tifffile.imwrite(tmp_path / "w.tif", samples, photometric="miniswhite")
    assert np.array_equal(levels(read(tmp_path / "w.tif"))[..., 0], 65535 - samples)
    rgba = deep(5, 6, 4)
    rgba[..., 3] = 32768
    rgba[..., :3] //= 2
    tifffile.imwrite(tmp_path / "p.tif", rgba, photometric="rgb", extrasamples=["assocalpha"])
    picture = read(tmp_path / "p.tif")
    assert np.abs(levels(picture) - rgba[..., :3] * (65535 / 32768)).max() <= 1
    assert (alpha_levels(picture) == 32768).all()


def test_float_tiff_is_taken_in_its_range_only(tmp_path: Path) -> None:
    floats = RNG(1).random((6, 7, 3), dtype=np.float32)
    tifffile.imwrite(tmp_path / "a.tif", floats, photometric="rgb")
    assert np.array_equal(read(tmp_path / "a.tif").pixels[0].permute(1, 2, 0).numpy(), floats)
    tifffile.imwrite(tmp_path / "b.tif", floats * 255, photometric="rgb")
    with pytest.raises(ImageUnreadable, match="0 to 1 is needed"):
        read(tmp_path / "b.tif")
    tifffile.imwrite(tmp_path / "c.tif", np.zeros((4, 4), dtype=np.uint32))
    with pytest.raises(ImageUnreadable, match="uint32"):
        read(tmp_path / "c.tif")


def test_one_pixel_is_a_picture(tmp_path: Path) -> None:
    Image.new("RGB", (1, 1), (255, 0, 51)).save(tmp_path / "a.png")
    assert levels(read(tmp_path / "a.png")).tolist() == [[[255, 0, 51]]]


def test_the_first_frame_is_taken(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    for suffix in (".gif", ".webp", ".png", ".tif"):
        frames[0].save(tmp_path / f"a{suffix}", save_all=True, append_images=frames[1:])
        assert levels(read(tmp_path / f"a{suffix}"))[0, 0, 0] > 200


@pytest.mark.parametrize("suffix", [*SUFFIXES, "16.png", "16.tif", "zip.tif"])
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9])
def test_half_a_file_is_no_picture(tmp_path: Path, suffix: str, kept: float) -> None:
    path = tmp_path / f"a{suffix}"
    noise = RNG(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    if suffix == "zip.tif" or suffix.startswith("16"):
        write(path, torch.from_numpy(noise / 255).permute(2, 0, 1)[None].float(), bits=8 if suffix == "zip.tif" else 16)
    else:
        Image.fromarray(noise).save(path)
    read(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(ImageUnreadable) as caught:
        read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_flipped_byte_in_a_deep_png_is_noticed(tmp_path: Path) -> None:
    data = bytearray(png16(deep(40, 50, 3), 2))
    data[len(data) // 2] ^= 0xFF
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(ImageUnreadable, match="damaged"):
        read(tmp_path / "a.png")


def test_what_is_no_picture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("not a picture, only a name that says so")
    (tmp_path / "empty.png").touch()
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "tiff.tif").write_bytes(b"II*\0" + bytes(40))
    for name, found in [
        ("none.png", "does not exist"),
        ("folder.png", "is a folder"),
        ("empty.png", "is empty"),
        ("text.jpg", "not a picture in a known format"),
        ("tiff.tif", "damaged|known format"),
    ]:
        with pytest.raises(ImageUnreadable, match=found):
            read(tmp_path / name)


def test_a_bomb_is_refused_by_its_header(tmp_path: Path) -> None:
    header = (60_000).to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    (tmp_path / "bomb.png").write_bytes(bomb)
    limit = Image.MAX_IMAGE_PIXELS
    with pytest.raises(ImageTooLarge, match=r"60000×60000 px \(3600 megapixels\); at most 200"):
        read(tmp_path / "bomb.png")
    assert limit == Image.MAX_IMAGE_PIXELS
    tifffile.imwrite(tmp_path / "a.tif", deep(20, 30, 3), photometric="rgb")
    with pytest.raises(ImageTooLarge, match="30×20"):
        read(tmp_path / "a.tif", max_pixels=599)
    assert read(tmp_path / "a.tif", max_pixels=600).size_hw == (20, 30)


def test_damaged_exif_is_ignored(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(smooth()).save(buffer, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f")
    (tmp_path / "a.jpg").write_bytes(buffer.getvalue())
    assert read(tmp_path / "a.jpg").size_hw == (24, 36)


def test_heic_names_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40))
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(MissingExtra, match=r"a\.heic is a HEIC picture and needs pillow_heif: pip install"):
        read(tmp_path / "a.heic")


def test_heic_reads_upright(tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif")
    exif = Image.Exif()
    exif[274] = 6
    file = heif.from_pillow(Image.fromarray(smooth(64, 96)))
    file.save(tmp_path / "a.heic", exif=exif.tobytes(), quality=100)
    picture = read(tmp_path / "a.heic")
    assert picture.size_hw == (96, 64)
    assert np.abs(levels(picture) - np.rot90(smooth(64, 96), k=-1)).mean() < 4
