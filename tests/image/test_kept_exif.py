"""Date, camera and copyright of a photograph, through reading and writing."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import ExifTags, Image

from impasto.core.errors import UnknownName
from impasto.image.files import read, read_notes, write
from impasto.image.metadata import EXIF_TAGS

KEPT = {
    "Make": "Camera Works",
    "Model": "X 100",
    "DateTime": "2024:05:06 07:08:09",
    "Artist": "Zoë 星",
    "Copyright": "© 2024 Zoë",
    "DateTimeOriginal": "2024:05:06 07:08:09",
    "OffsetTimeOriginal": "+02:00",
}
IN_TIFF = {name: text for name, text in KEPT.items() if name not in ("DateTimeOriginal", "OffsetTimeOriginal")}
CARRIERS = [(".jpg", 8), (".png", 8), (".png", 16), (".webp", 8), (".avif", 8), (".tif", 8), (".tif", 16)]


@pytest.mark.parametrize(("suffix", "bits"), CARRIERS)
def test_entries_survive_beside_notes(tmp_path: Path, suffix: str, bits: int) -> None:
    path = tmp_path / f"a{suffix}"
    write(path, torch.rand(1, 3, 8, 8), bits=bits, notes={"impasto": "recipe"}, exif=KEPT)
    picture = read(path)
    assert picture.exif == (IN_TIFF if suffix == ".tif" else KEPT)
    assert picture.notes == read_notes(path) == {"impasto": "recipe"}
    write(path, torch.rand(1, 3, 8, 8), bits=bits, exif=KEPT)
    assert read(path).exif == picture.exif
    assert read_notes(path) == {}


@pytest.mark.parametrize(("suffix", "bits"), [*CARRIERS, (".gif", 8), (".bmp", 8)])
def test_strip_leaves_nothing(tmp_path: Path, suffix: str, bits: int) -> None:
    plain, stripped = tmp_path / f"plain{suffix}", tmp_path / f"stripped{suffix}"
    pixels = torch.rand(1, 3, 8, 8)
    write(plain, pixels, bits=bits)
    write(stripped, pixels, bits=bits, notes={"impasto": "recipe"}, exif=KEPT, strip=True)
    assert stripped.read_bytes() == plain.read_bytes()
    assert read(stripped).exif == {}


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_a_camera_file_keeps_these_entries_and_no_position(tmp_path: Path, suffix: str) -> None:
    exif = Image.Exif()
    exif[EXIF_TAGS["Model"]] = "  X 100\0"
    exif[274] = 6
    exif.get_ifd(ExifTags.IFD.Exif)[EXIF_TAGS["DateTimeOriginal"]] = KEPT["DateTimeOriginal"]
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = "N"
    Image.new("RGB", (8, 6)).save(tmp_path / f"a{suffix}", exif=exif)
    picture = read(tmp_path / f"a{suffix}")
    assert picture.exif == {"Model": "X 100", "DateTimeOriginal": KEPT["DateTimeOriginal"]}
    write(tmp_path / "b.jpg", picture.pixels, exif=picture.exif)
    with Image.open(tmp_path / "b.jpg") as written:
        assert 274 not in written.getexif(), "the picture is upright already"
        assert not written.getexif().get_ifd(ExifTags.IFD.GPSInfo)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_tiff_of_a_camera_has_its_dates(tmp_path: Path, dtype: type) -> None:
    path, taken, name = tmp_path / "a.tif", b"2020:01:02 03:04:05\0", EXIF_TAGS["DateTimeOriginal"]
    placeholder = [(65_000, "I", 1, 0, True)]  # tifffile does not write the tag of an EXIF block
    tifffile.imwrite(
        path, np.ones((4, 4, 3), dtype), photometric="rgb", datetime=KEPT["DateTime"], extratags=placeholder
    )
    data = path.read_bytes()
    data = data.replace(struct.pack("<HHII", 65_000, 4, 1, 0), struct.pack("<HHII", 34_665, 4, 1, len(data)))
    path.write_bytes(data + struct.pack("<HHHIII", 1, name, 2, len(taken), len(data) + 18, 0) + taken)
    assert read(path).exif == {"DateTime": KEPT["DateTime"], "DateTimeOriginal": "2020:01:02 03:04:05"}


def test_unknown_entries_are_refused_and_numbers_ignored(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="Did you mean 'Model'"):
        write(tmp_path / "a.jpg", torch.rand(1, 3, 8, 8), exif={"Modle": "X"})
    exif = Image.Exif()
    exif[EXIF_TAGS["Model"]] = 7
    Image.new("RGB", (8, 6)).save(tmp_path / "b.png", exif=exif)
    assert read(tmp_path / "b.png").size_hw == (6, 8)
