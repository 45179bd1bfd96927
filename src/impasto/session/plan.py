"""The plan of a job: its method, its resolved styles and every file that it reads."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass

from impasto.config.job import Job
from impasto.core.errors import OptionError
from impasto.core.options import changed_options, option
from impasto.image.clouds import clouds_seed
from impasto.image.files import Picture
from impasto.methods.protocol import Method
from impasto.methods.table import METHODS, method_for
from impasto.styles.catalogue import StyleCatalogue
from impasto.styles.resolved import PictureStyle, ResolvedStyle, files_of
from impasto.styles.text import is_weight_file


@dataclass(frozen=True)
class Plan:
    """A job with an explicit method, resolved styles and checked options.

    `content` is the content where it comes from memory instead of a file.
    """

    job: Job
    method: Method
    styles: tuple[ResolvedStyle, ...]
    content: Picture | None = None

    @property
    def weights(self) -> tuple[str, ...]:
        """The names or files of the weights that the job is painted with."""
        return self.method.weights_of(self.job, self.styles)

    @property
    def clouds_seed(self) -> int | None:
        """The seed of the clouds that are the content, as in a texture; None for a picture."""
        return clouds_seed(self.job.content) if self.content is None else None

    @property
    def in_memory(self) -> bool:
        """Whether a picture comes from memory, so that a recipe cannot refer to it."""
        styles = (style.picture for style in self.styles if isinstance(style, PictureStyle))
        return self.content is not None or any(picture is not None for picture in styles)

    @property
    def files(self) -> tuple[str, ...]:
        """Every file that decides the result, as the job names it: content, styles, masks, start, weights."""
        generated = self.content is not None or self.clouds_seed is not None
        content = () if generated else (self.job.content,)
        styles = [name for style in self.styles for name in files_of(style)]
        start = self.job.optimise.init_picture
        begins_with = [str(start)] if start is not None and self.job.optimise.init == "picture" else []
        weights = [name for name in self.weights if is_path(name)]
        return tuple(dict.fromkeys([*content, *styles, *begins_with, *weights]))

    @property
    def unmasked(self) -> Plan:
        """The plan without masks, for inputs whose masks change."""
        styles = tuple(
            dataclasses.replace(style, source=dataclasses.replace(style.source, mask=None)) for style in self.styles
        )
        job = dataclasses.replace(self.job, styles=tuple(style.source for style in styles))
        return dataclasses.replace(self, job=job, styles=styles)

    def seeded(self, seed: int) -> Plan:
        """The plan with another seed: of the first canvas or of the noise, depending on the method."""
        group, name = ("optimise", "seed") if self.method.gradual else ("fast", "noise_seed")
        options = dataclasses.replace(getattr(self.job, group), **{name: seed})
        job: Job = dataclasses.replace(self.job, **{group: options})
        return dataclasses.replace(self, job=job)


def plan_job(
    job: Job,
    *,
    catalogue: StyleCatalogue | None = None,
    content: Picture | None = None,
    pictures: Sequence[Picture | None] = (),
) -> Plan:
    """The plan of `job`, whose `content` and style `pictures` may come from memory; pictures are in the job's order.

    Raises `OptionError` for an option of another method, for one that a saved or trained style cannot follow, and for
    styles that the method cannot paint; `UnknownName` for a style that is neither a file nor known.
    """
    catalogue = catalogue or StyleCatalogue()
    given = pictures or [None] * len(job.styles)
    styles = tuple(
        catalogue.resolve(source) if picture is None else PictureStyle(source=source, picture=picture)
        for source, picture in zip(job.styles, given, strict=True)
    )
    method = method_for(job, styles)
    _check_groups(job, method)
    _check_rest(job)
    method.check_styles(job, styles)
    job = dataclasses.replace(job, paint=dataclasses.replace(job.paint, method=method.name))
    return Plan(_with_weights_file(job, method), method, styles, content)


def is_path(weights: str) -> bool:
    """Whether weights are named by their file; a planned job's names look like a path where there is a file."""
    return "/" in weights or os.sep in weights or is_weight_file(weights)


def as_path(weights: str) -> str:
    """The name of a weight file, written as a path."""
    return weights if is_path(weights) else os.path.join(os.curdir, weights)


def _with_weights_file(job: Job, method: Method) -> Job:
    """The job with its weights written as a path where they are a file (`weights.catalogue.located`)."""
    for name in method.weights_of(job, ()):
        weights = os.path.expanduser(name)
        if os.path.isfile(weights):
            job = method.with_weights(job, as_path(weights))
    return job


def _check_rest(job: Job) -> None:
    """Raise `OptionError` if several styles have the mask `rest`, or the others have no masks."""
    count = sum(style.paints_rest for style in job.styles)
    given = sum(style.mask_file is not None for style in job.styles)
    if count and (count > 1 or not 0 < given == len(job.styles) - 1):
        raise OptionError(
            f"`mask=rest` is given to {count} of {len(job.styles)} styles; it means all pixels outside other masks. "
            "Give it to one style, and a mask to each of the others."
        )


def _check_groups(job: Job, method: Method) -> None:
    """Raise `OptionError` for an option that is not the default and that `method` does not read."""
    for other in METHODS.values():
        foreign = [group for group in other.groups if group not in method.groups]
        changed = [option(name) for group in foreign for name in changed_options(getattr(job, group))]
        if changed:
            names = " and ".join(part for part in (", ".join(changed[:-1]), changed[-1]) if part)
            raise OptionError(
                f"{names} {'are options' if len(changed) > 1 else 'is an option'} of `method={other.name}`, and this "
                f"job is painted by `method={method.name}`. Add `method={other.name}`, or leave "
                f"{'them' if len(changed) > 1 else 'it'} out."
            )
