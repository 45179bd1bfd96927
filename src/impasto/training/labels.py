"""Training pictures with classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from impasto.core.errors import DataError
from impasto.training.image_dataset import ImageDataset, Selection
from impasto.training.pictures import Listed

UNLABELLED = -1


@dataclass(frozen=True)
class LabelledSet:
    """Pictures with classes: `labels` index `classes`, -1 without a class; None if no picture has one."""

    pictures: ImageDataset
    labels: list[int] | None
    classes: tuple[str, ...]

    @property
    def all_labelled(self) -> bool:
        """Whether every picture has a class."""
        return self.labels is not None and UNLABELLED not in self.labels

    def readable(self, *, labelled: bool = False) -> tuple[Selection, list[int]]:
        """The readable pictures, or those with a class, and their labels. Reads every file."""
        labels = self.labels or [UNLABELLED] * len(self.pictures)
        chosen = [i for i, label in enumerate(labels) if not labelled or label != UNLABELLED]
        chosen = [i for i in chosen if self.pictures.at(i) is not None]
        return Selection(self.pictures, chosen), [labels[i] for i in chosen]


def labelled_set(
    items: Sequence[Listed], *, short_side_px: int, memory_gb: float, classes: Sequence[str] | None = None
) -> LabelledSet:
    """A set of listed pictures, read on demand.

    With `classes`, pictures of other classes, or of none, are left out, unless no picture has a class; without, the
    classes are all that occur, sorted. Raises `DataError` if nothing is left.
    """
    known = {item.label for item in items if item.label is not None}
    names = tuple(classes or sorted(known)) if known else ()
    used = [item for item in items if classes is None or not known or item.label in names]
    if not used:
        raise DataError(f"none of {len(items)} pictures has a known class: {', '.join(names)}.")
    index = {name: i for i, name in enumerate(names)}
    labels = [index.get(item.label or "", UNLABELLED) for item in used] if names else None
    paths = [item.path for item in used]
    pictures = ImageDataset(paths, short_side_px=short_side_px, memory_bytes=int(memory_gb * 1e9))
    return LabelledSet(pictures, labels, names)
