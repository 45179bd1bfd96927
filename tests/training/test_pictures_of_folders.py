"""Training pictures from folders and lists."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from impasto.core.errors import DataError
from impasto.training import pictures
from impasto.training.data import Crops
from impasto.training.image_dataset import labelled_set
from impasto.training.pictures import Listed, listed

COLOURS = {"red": (200, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 200)}


def drawn(path: Path, colour: tuple[int, int, int] = (9, 9, 9), *, size_hw: tuple[int, int] = (40, 48)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size_hw, 3), colour, np.uint8)).save(path)
    return path


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    """Two pictures of each of three classes."""
    for name, colour in COLOURS.items():
        for i in range(2):
            drawn(tmp_path / "set" / name / f"{i}.png", colour)
    return tmp_path / "set"


# Listing


def test_a_folder_a_class(classes: Path) -> None:
    found = listed(classes)
    assert [item.label for item in found] == ["blue", "blue", "green", "green", "red", "red"]
    assert all(item.path.is_file() for item in found)


def test_pictures_in_the_folder_itself_have_no_class(classes: Path) -> None:
    drawn(classes / "stray.png")
    assert [item.label for item in listed(classes) if item.path.name == "stray.png"] == [None]


def test_a_list(classes: Path, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("path,class\nset/red/0.png,warm\nset/blue/1.png,\n", encoding="utf-8")
    assert listed(tmp_path / "list.csv") == [
        Listed(tmp_path / "set/red/0.png", "set/red/0.png", "warm"),
        Listed(tmp_path / "set/blue/1.png", "set/blue/1.png", None),
    ]


@pytest.mark.parametrize(
    "text", ["path\nset/red/0.png\n", "\ufeffpath\nset/red/0.png\n", "class,path\n,set/red/0.png\n\n"]
)
def test_lists_of_other_forms(text: str, classes: Path, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text(text, encoding="utf-8")
    assert listed(tmp_path / "list.csv") == [Listed(tmp_path / "set/red/0.png", "set/red/0.png", None)]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"file,class\na.png,b\n", "a column path is needed"),
        (b"", "a column path is needed"),
        (b"path,class\n", "lists no picture"),
        (b"path\n\n\n", "lists no picture"),
        ("path\nn\xe4he.png\n".encode("latin-1"), "a CSV in UTF-8 is needed"),
    ],
)
def test_lists_that_are_none(data: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_bytes(data)
    with pytest.raises(DataError, match=message):
        listed(tmp_path / "list.csv")


def test_nothing_to_list(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no picture"):
        listed(tmp_path / "empty")
    with pytest.raises(DataError, match="neither a folder nor"):
        listed(tmp_path / "nowhere")
    with pytest.raises(DataError, match="does not exist"):
        listed(tmp_path / "nowhere.csv")


# Reading


def test_classes_are_counted_and_named(classes: Path) -> None:
    found = labelled_set(listed(classes), short_side_px=32, memory_gb=1)
    assert found.classes == ("blue", "green", "red")
    assert found.labels == [0, 0, 1, 1, 2, 2]
    assert found.all_labelled
    for picture, label in zip(found.pictures, found.labels, strict=True):
        assert picture.dtype == np.uint8
        assert picture.shape == (32, 38, 3)
        assert tuple(picture[0, 0]) == COLOURS[found.classes[label]]
    assert found.pictures.skipped == ()


def test_small_pictures_are_not_enlarged(classes: Path) -> None:
    assert labelled_set(listed(classes), short_side_px=500, memory_gb=1).pictures[0].shape == (40, 48, 3)


@pytest.mark.parametrize(("size_hw", "kept"), [((20, 200), (20, 40)), ((201, 20), (40, 20)), ((20, 41), (20, 40))])
def test_panoramas_are_cut_to_their_middle(size_hw: tuple[int, int], kept: tuple[int, int], tmp_path: Path) -> None:
    long = np.zeros((*size_hw, 3), np.uint8)
    middle = tuple(
        slice((side - want) // 2, (side - want) // 2 + want) for side, want in zip(size_hw, kept, strict=True)
    )
    long[middle] = 200
    Image.fromarray(long).save(tmp_path / "long.png")
    picture = pictures.small(tmp_path / "long.png", 20)
    assert not isinstance(picture, str)
    assert picture.shape[:2] == kept
    assert bool((picture == 200).all())


def test_broken_files_are_replaced_with_their_class(classes: Path) -> None:
    (classes / "red" / "0.png").write_bytes(b"no picture")
    (classes / "blue" / "1.png").write_bytes((classes / "blue" / "0.png").read_bytes()[:60])
    found = labelled_set(
        [*listed(classes), Listed(classes / "gone.png", "gone.png", "red")], short_side_px=32, memory_gb=1
    )
    crops = Crops(found.pictures, 64, 8, 0, labels=found.labels)(0)
    assert set(crops.indices.tolist()) == {0, 2, 3, 5}
    assert crops.labels is not None
    for image, label in zip(crops.images, crops.labels.tolist(), strict=True):
        colour = tuple((image[:, 0, 0] * 255).round().int().tolist())
        assert colour == COLOURS[found.classes[label]]
    assert len(found.pictures.skipped) == 3
    for name, line in zip(("blue/1.png", "red/0.png", "gone.png"), found.pictures.skipped, strict=True):
        assert name in line
    chosen, labels = found.readable()
    assert labels == [0, 1, 1, 2]
    assert [tuple(picture[0, 0]) for picture in chosen] == [COLOURS[found.classes[label]] for label in labels]
    assert [tuple(picture[0, 0]) for picture in chosen[1::2]] == [COLOURS["green"], COLOURS["red"]]


def test_a_format_that_needs_another_package_is_left_out(classes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pillow_heif", None)
    (classes / "red" / "2.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    found = labelled_set(listed(classes), short_side_px=32, memory_gb=1)
    assert len(found.readable()[0]) == 6
    assert "impasto[heic]" in found.pictures.skipped[0]


def test_none_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture")
    found = labelled_set(listed(tmp_path), short_side_px=32, memory_gb=1)
    with pytest.raises(DataError, match=r"none of 1 pictures can be read; the first: .*a\.png"):
        found.pictures.readable(0)


def test_given_classes_leave_others_out(classes: Path) -> None:
    drawn(classes / "stray.png")
    found = labelled_set(listed(classes), short_side_px=32, memory_gb=1, classes=("red", "blue", "purple"))
    assert found.classes == ("red", "blue", "purple")
    assert found.labels == [1, 1, 0, 0]
    with pytest.raises(DataError, match="none of 7 pictures has a known class: purple"):
        labelled_set(listed(classes), short_side_px=32, memory_gb=1, classes=("purple",))


def test_a_set_without_classes_is_kept_whatever_the_classes(tmp_path: Path) -> None:
    drawn(tmp_path / "a.png")
    for classes in (None, ("red",)):
        found = labelled_set(listed(tmp_path), short_side_px=32, memory_gb=1, classes=classes)
        assert (len(found.pictures), found.labels, found.classes) == (1, None, ())
        assert not found.all_labelled
        assert len(found.readable(labelled=True)[0]) == 0
        assert len(found.readable()[0]) == 1


def test_some_have_classes(classes: Path) -> None:
    drawn(classes / "stray.png")
    found = labelled_set(listed(classes), short_side_px=32, memory_gb=1)
    assert found.labels == [0, 0, 1, 1, 2, 2, -1]
    assert not found.all_labelled
    chosen, labels = found.readable(labelled=True)
    assert labels == [0, 0, 1, 1, 2, 2]
    assert len(chosen) == 6


def test_transparent_pixels_are_white(tmp_path: Path) -> None:
    samples = np.zeros((40, 40, 4), np.uint8)
    samples[:, 20:, 3] = 255  # black at the right; hidden black at the left
    Image.fromarray(samples, "RGBA").save(tmp_path / "half.png")
    seen = pictures.small(tmp_path / "half.png", 40)
    assert not isinstance(seen, str)
    assert (seen[:, :20] == 255).all()
    assert (seen[:, 20:] == 0).all()
