"""Finished results in a folder, each beside the content that it was painted from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from impasto.core.errors import DataError
from impasto.image.pixels import from_bytes, to_bytes
from impasto.image.resize import resized
from impasto.training import sources
from impasto.training.data import Bytes
from impasto.training.image_dataset import ImageDataset
from impasto.training.sources import Named

ASPECTS_APART = 0.02  # by which the aspects of a content and its result may differ, besides two pixels of rounding


@dataclass(frozen=True)
class Results:
    """The results of contents: `places` says where in `shelf` that of each content lies, None where it has none."""

    shelf: ImageDataset
    places: tuple[int | None, ...]

    def of(self, index: int, content: Bytes) -> Bytes | None:
        """The result of the content `index`, which is `content` `(h, w, 3)`, at the content's size.

        None where there is none, or where it cannot be read or has another aspect.
        """
        place = self.places[index]
        found = None if place is None else self.shelf.at(place)
        if found is None or not _alike(found, content):
            return None
        size = content.shape[0], content.shape[1]
        fitting: Bytes = to_bytes(resized(from_bytes(found), size))[0] if found.shape != content.shape else found
        return fitting

    def __len__(self) -> int:
        """The number of contents that have a result."""
        return sum(place is not None for place in self.places)


def results_in(folder: Path, contents: Sequence[Named], *, short_side_px: int, memory_gb: float) -> Results:
    """The results in `folder` of the contents, which have their names; `DataError` where there is none for any.

    A result has the content's file name but for the ending, or begins with it and a hyphen (`cat-wave.png` of
    `cat.jpg`), and lies in the same subfolder.
    """
    found = sources.listed_in("teachers", [folder])
    keys = [_key(content.name) for content in contents]
    chosen = _chosen(found, set(keys), folder)
    _check_alone(contents, chosen, folder)
    if not chosen:
        raise DataError(
            f"none of the {len(found)} pictures in {folder} is a result of a content: they are to have the contents' "
            f"names. The first content is {contents[0].name}, the first result {found[0].name}."
        )
    names = list(chosen)
    shelf = sources.shelf([chosen[name] for name in names], short_side_px=short_side_px, memory_gb=memory_gb)
    places = {name: place for place, name in enumerate(names)}
    return Results(shelf, tuple(places.get(key) for key in keys))


def _chosen(found: Sequence[Named], keys: set[str], folder: Path) -> dict[str, Named]:
    """The result of each content that has one; `DataError` where it has two."""
    chosen: dict[str, Named] = {}
    for result in sorted(found, key=lambda item: _key(item.name) not in keys):  # those of the very name first
        key = _content_of(_key(result.name), keys)
        if key is None:
            continue
        exact = key in chosen and _key(chosen[key].name) == key != _key(result.name)
        if key in chosen and not exact:
            both = f"{chosen[key].name} and {result.name}"
            raise DataError(f"{both} in {folder} are both results of {key}. Give a folder of one style's results.")
        chosen.setdefault(key, result)
    return chosen


def _check_alone(contents: Sequence[Named], chosen: Mapping[str, Named], folder: Path) -> None:
    """Raise `DataError` where a result may be that of two contents."""
    first: dict[str, Named] = {}
    for content in contents:
        other = first.setdefault(_key(content.name), content)
        if other.path != content.path and _key(content.name) in chosen:
            result = chosen[_key(content.name)].name
            raise DataError(
                f"{result} in {folder} may be a result of {other.path} or of {content.path}. Give contents of "
                "different names."
            )


def _key(name: str) -> str:
    """A name within a source without its ending."""
    return PurePath(name).with_suffix("").as_posix()


def _content_of(name: str, keys: set[str]) -> str | None:
    """The longest key that is `name`, or that it begins with before a hyphen."""
    while name not in keys:
        name, hyphen, _ = name.rpartition("-")
        if not hyphen:
            return None
    return name


def _alike(result: Bytes, content: Bytes) -> bool:
    """Whether the aspects are the same, up to rounding."""
    (h, w), (height, width) = result.shape[:2], content.shape[:2]
    return bool(abs(width * h / height - w) <= max(2.0, ASPECTS_APART * w))
