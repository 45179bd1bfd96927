"""Text in picture files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tifffile
import torch
from PIL import Image, PngImagePlugin

from impasto.core.errors import ImageUnreadable, OptionError
from impasto.image.files import carries_notes, read, read_notes, write
from impasto.image.formats import FORMATS

CARRIERS = [(s, b) for kind in FORMATS if kind.notes for s in kind.suffixes[:1] for b in kind.bits]
RECIPE = json.dumps({"style": "Überfahrt 星月夜 🎨", "quote": 'a "b" \\ <&>', "lines": "one\ntwo"}, ensure_ascii=False)


def long_text(letters: int = 60_000) -> str:
    """Text that does not compress."""
    codes = torch.randint(0x4E00, 0x9FFF, (letters,), generator=torch.Generator().manual_seed(0)).tolist()
    return "".join(map(chr, codes))


@pytest.mark.parametrize(("suffix", "bits"), CARRIERS)
@pytest.mark.parametrize("text", [RECIPE, "x" * 61_440, '{"a":1}' * 9000, long_text(), ""], ids=range(5))
def test_notes_survive(tmp_path: Path, suffix: str, bits: int, text: str) -> None:
    path = tmp_path / f"a{suffix}"
    notes = {"impasto": text, "Title": "second"}
    assert carries_notes(path)
    write(path, torch.rand(1, 3, 8, 8), bits=bits, notes=notes)
    assert read_notes(path) == notes
    picture = read(path)
    assert picture.notes == notes
    assert picture.size_hw == (8, 8)


@pytest.mark.parametrize(("suffix", "bits"), [*CARRIERS, (".bmp", 8)])
def test_a_file_without_notes_has_none(tmp_path: Path, suffix: str, bits: int) -> None:
    write(tmp_path / f"a{suffix}", torch.rand(1, 3, 8, 8), bits=bits)
    assert read_notes(tmp_path / f"a{suffix}") == {}


def test_formats_without_notes_drop_them_and_say_so(tmp_path: Path) -> None:
    for name in ("a.bmp", "a.heic", "a.xyz", "a"):
        assert not carries_notes(tmp_path / name)
    write(tmp_path / "a.bmp", torch.rand(1, 3, 8, 8), notes={"impasto": "lost"})
    assert read_notes(tmp_path / "a.bmp") == {}


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp"])
def test_a_path_that_is_no_unicode_is_escaped(tmp_path: Path, suffix: str) -> None:
    write(tmp_path / f"a{suffix}", torch.rand(1, 3, 8, 8), notes={"path": "caf\udce9.jpg"})
    assert read_notes(tmp_path / f"a{suffix}") == {"path": "caf\\udce9.jpg"}


@pytest.mark.parametrize("name", ["", "x" * 80, "é", " a", "a\n"])
def test_names_of_notes_are_checked(tmp_path: Path, name: str) -> None:
    with pytest.raises(OptionError, match="printable ASCII"):
        write(tmp_path / "a.png", torch.rand(1, 3, 8, 8), notes={name: "text"})


def test_the_text_of_other_programs_is_read(tmp_path: Path) -> None:
    image = Image.new("RGB", (4, 4))
    info = PngImagePlugin.PngInfo()
    info.add_text("Author", "Ada")
    image.save(tmp_path / "a.png", pnginfo=info)
    assert read_notes(tmp_path / "a.png") == {"Author": "Ada"}
    image.save(tmp_path / "a.jpg", comment="a café".encode())
    assert read_notes(tmp_path / "a.jpg") == {"comment": "a café"}
    image.save(tmp_path / "a.gif", comment=b'{"a": 1}')
    assert read_notes(tmp_path / "a.gif") == {"comment": '{"a": 1}'}
    tifffile.imwrite(tmp_path / "a.tif", torch.zeros(4, 4).byte().numpy(), description="scan 7", metadata=None)
    assert read_notes(tmp_path / "a.tif") == {"description": "scan 7"}
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + "a café".encode("utf-16")
    image.save(tmp_path / "a.webp", exif=exif)
    assert read_notes(tmp_path / "a.webp") == {"comment": "a café"}


def test_notes_are_read_without_the_pixels(tmp_path: Path) -> None:
    for suffix in (".png", ".jpg", ".gif"):
        path = tmp_path / f"a{suffix}"
        write(path, torch.rand(1, 3, 64, 64), notes={"impasto": "recipe"})
        path.write_bytes(path.read_bytes()[:-1000])
        assert read_notes(path) == {"impasto": "recipe"}
        with pytest.raises(ImageUnreadable):
            read(path)


def test_a_missing_file_has_no_notes(tmp_path: Path) -> None:
    with pytest.raises(ImageUnreadable, match="does not exist"):
        read_notes(tmp_path / "none.png")
