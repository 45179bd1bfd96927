"""Finished results in a folder, matched with the contents that they were painted from."""

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
from impasto.training.pictures import Listed

ASPECT_TOLERANCE = 0.02  # relative difference of aspect ratios, besides two pixels of rounding


@dataclass(frozen=True)
class Results:
    """The results of contents: `places` has the index in `dataset` for each content, None without a result."""

    dataset: ImageDataset
    places: tuple[int | None, ...]

    def of(self, index: int, content: Bytes) -> Bytes | None:
        """The result of the content `index` at the size of `content` `(h, w, 3)`.

        None if it is missing or unreadable, or has another aspect ratio.
        """
        place = self.places[index]
        result = None if place is None else self.dataset.at(place)
        if result is None or not _alike(result, content):
            return None
        size = content.shape[0], content.shape[1]
        fitting: Bytes = to_bytes(resized(from_bytes(result), size))[0] if result.shape != content.shape else result
        return fitting

    def __len__(self) -> int:
        """The number of contents that have a result."""
        return sum(place is not None for place in self.places)


def results_in(folder: Path, contents: Sequence[Listed], *, short_side_px: int, memory_gb: float) -> Results:
    """The results in `folder` of the contents, matched by name. Raises `DataError` if there are none.

    A result has the content's file name without the suffix, optionally continued by a hyphen and more (`cat-wave.png`
    of `cat.jpg`), and the same subfolder.
    """
    pictures = sources.listed_in("teachers", [folder])
    keys = [_key(content.name) for content in contents]
    chosen = _chosen(pictures, set(keys), folder=folder)
    _check_alone(contents, chosen, folder=folder)
    if not chosen:
        raise DataError(
            f"none of the {len(pictures)} pictures in {folder} is the result of a content: they need the contents' "
            f"names. The first content is {contents[0].name}, the first picture {pictures[0].name}."
        )
    names = list(chosen)
    dataset = sources.dataset([chosen[name] for name in names], short_side_px=short_side_px, memory_gb=memory_gb)
    places = {name: place for place, name in enumerate(names)}
    return Results(dataset, tuple(places.get(key) for key in keys))


def _chosen(pictures: Sequence[Listed], keys: set[str], *, folder: Path) -> dict[str, Listed]:
    """The result of each content that has one. Raises `DataError` for two results of one content."""
    chosen: dict[str, Listed] = {}
    for result in sorted(pictures, key=lambda item: _key(item.name) not in keys):  # exact names first
        key = _content_of(_key(result.name), keys)
        if key is None:
            continue
        exact = key in chosen and _key(chosen[key].name) == key != _key(result.name)
        if key in chosen and not exact:
            both = f"{chosen[key].name} and {result.name}"
            raise DataError(f"{both} in {folder} are both results of {key}. Give a folder of one style's results.")
        chosen.setdefault(key, result)
    return chosen


def _check_alone(contents: Sequence[Listed], chosen: Mapping[str, Listed], *, folder: Path) -> None:
    """Raise `DataError` if a result matches two contents."""
    first: dict[str, Listed] = {}
    for content in contents:
        other = first.setdefault(_key(content.name), content)
        if other.path != content.path and _key(content.name) in chosen:
            result = chosen[_key(content.name)].name
            raise DataError(
                f"{result} in {folder} may be a result of {other.path} or of {content.path}. Give contents "
                "with different names."
            )


def _key(name: str) -> str:
    """A name without its suffix."""
    return PurePath(name).with_suffix("").as_posix()


def _content_of(name: str, keys: set[str]) -> str | None:
    """The longest key that is `name` or its beginning up to a hyphen."""
    while name not in keys:
        name, hyphen, _ = name.rpartition("-")
        if not hyphen:
            return None
    return name


def _alike(result: Bytes, content: Bytes) -> bool:
    """Whether the aspect ratios are equal, up to rounding."""
    (h, w), (height, width) = result.shape[:2], content.shape[:2]
    return bool(abs(width * h / height - w) <= max(2.0, ASPECT_TOLERANCE * w))
