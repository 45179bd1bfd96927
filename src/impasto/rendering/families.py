"""The families of stylizers: what each takes of a job, and how it is made ready. A new family is one row."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from impasto.config.job import DEFAULT_METHOD, Job, StyleSource
from impasto.core.errors import OptionError
from impasto.core.options import Options, flag
from impasto.encoders import table as encoders
from impasto.encoders.table import Encoder, Progress
from impasto.image.resize import SizeHW
from impasto.nets import table as nets
from impasto.nets.fast import KIND as FAST
from impasto.nets.fast import FastNetwork
from impasto.nets.noise import SeededNoise
from impasto.nets.protocol import Code
from impasto.nets.table import Network
from impasto.rendering import learned, saved
from impasto.stylizers.any_style import any_style
from impasto.stylizers.arbitrary import Arbitrary
from impasto.stylizers.codes import code_of
from impasto.stylizers.fast import Fast
from impasto.stylizers.optimised import Optimised, Paused
from impasto.stylizers.protocol import Stylizer

if TYPE_CHECKING:
    from impasto.rendering.inputs import Inputs

Work = tuple[tuple[SizeHW, int], ...]
"""Canvas sizes in the order of painting, with the number of steps at each."""


@dataclass(frozen=True)
class Loaded:
    """What a family paints with; networks of trained styles by source. `weights` maps all names to their sha256."""

    method: str
    model: Encoder | Network | Mapping[str, FastNetwork]
    weights: Mapping[str, str]
    dtype: torch.dtype


@dataclass(frozen=True, kw_only=True)
class Family:
    """One family. `groups` are the groups of `Job` that not every family looks at, and this one does.

    `weights_at` is the group and the option that name its weights, None where the styles do; `gradual` says whether its
    steps show the whole picture as it grows, and can be gone on from. `style_short_side_px` is kept of every style
    picture that has it; `code` is that of a style's picture and name, where it does not depend on the content,
    `saved_code` that in a file.
    """

    groups: tuple[str, ...]
    weights_at: tuple[str, str] | None
    gradual: bool
    style_short_side_px: int
    load: Callable[[Job, Progress | None], Loaded]
    stylizer: Callable[[Job, Inputs, Loaded, Paused | None], Stylizer[Any]]
    work: Callable[[Job, SizeHW, Loaded], Work]
    code: Callable[[Tensor, Loaded, str], Code] | None = None
    saved_code: Callable[[Path, Loaded], Code] | None = None


def _load_encoder(job: Job, progress: Progress | None) -> Loaded:
    encoder = encoders.load_encoder(
        job.losses.encoder, pooling=job.losses.pooling, precision=job.paint.precision, progress=progress
    )
    return Loaded("optimise", encoder, {encoder.name: encoder.sha256}, encoder.dtype)


def _encoder(loaded: Loaded) -> Encoder:
    assert isinstance(loaded.model, Encoder)
    return loaded.model


def _optimised(job: Job, inputs: Inputs, loaded: Loaded, resume: Paused | None) -> Stylizer[Any]:
    return Optimised(_encoder(loaded), job.losses, job.optimise, inputs.init_picture, resume)


def _work_of_optimised(job: Job, size_hw: SizeHW, loaded: Loaded) -> Work:
    stylizer = Optimised(_encoder(loaded), job.losses, job.optimise)
    return tuple((size, stylizer.steps_at(scale)) for scale, size in enumerate(stylizer.sizes(size_hw)))


def _load_network(job: Job, progress: Progress | None) -> Loaded:
    network = nets.loaded(job.arbitrary.network, precision=job.paint.precision, progress=progress)
    weights = {network.encoder.name: network.encoder.sha256, network.name: network.sha256}
    return Loaded("arbitrary", network, weights, network.dtype)


def _network(loaded: Loaded) -> Network:
    assert isinstance(loaded.model, Network)
    return loaded.model


def _of_any_style(job: Job, loaded: Loaded) -> Arbitrary:
    return any_style(
        _network(loaded), memory_bytes=round(job.fast.memory_gb * 1e9), noise=SeededNoise(job.fast.noise_seed)
    )


def _arbitrary(job: Job, inputs: Inputs, loaded: Loaded, resume: Paused | None) -> Stylizer[Any]:
    return _of_any_style(job, loaded)


def _work_of_arbitrary(job: Job, size_hw: SizeHW, loaded: Loaded) -> Work:
    return ((size_hw, _of_any_style(job, loaded).work(size_hw)),)


def _load_learned(job: Job, progress: Progress | None) -> Loaded:
    networks = learned.loaded([style.source for style in job.styles], precision=job.paint.precision, progress=progress)
    found = list(networks.values())
    return Loaded(FAST, networks, learned.digests(found), found[0].dtype)


def _fast(job: Job, inputs: Inputs, loaded: Loaded, resume: Paused | None) -> Stylizer[Any]:
    assert isinstance(loaded.model, Mapping)
    return Fast(loaded.model, round(job.fast.memory_gb * 1e9), SeededNoise(job.fast.noise_seed))


FAMILIES: dict[str, Family] = {
    "arbitrary": Family(
        groups=("arbitrary", "fast"),
        weights_at=("arbitrary", "network"),
        gradual=False,
        style_short_side_px=64,  # with fewer the statistics of deep layers are of a few places only
        load=_load_network,
        stylizer=_arbitrary,
        work=_work_of_arbitrary,
        code=lambda picture, loaded, name: code_of(picture, _network(loaded), name=name),
        saved_code=lambda path, loaded: saved.code_in(path, _network(loaded)),
    ),
    FAST: Family(
        groups=("fast",),
        weights_at=None,
        gradual=False,
        style_short_side_px=1,  # there is no style picture
        load=_load_learned,
        stylizer=_fast,
        work=lambda job, size_hw, loaded: ((size_hw, 1),),
    ),
    "optimise": Family(
        groups=("losses", "optimise"),
        weights_at=("losses", "encoder"),
        gradual=True,
        style_short_side_px=256,  # more than any encoder needs; `stylizers.targets.at_scale` goes on from here
        load=_load_encoder,
        stylizer=_optimised,
        work=_work_of_optimised,
    ),
}


def method_of(job: Job) -> str:
    """The family that paints `job`: one of `METHODS`. Left open, it is that of trained styles where there is one."""
    if job.paint.method != "auto":
        return job.paint.method
    return FAST if any(learned.is_trained(style.source) for style in job.styles) else DEFAULT_METHOD


def family_of(job: Job) -> Family:
    """The row of the family that paints `job`."""
    return FAMILIES[method_of(job)]


def weights_of(job: Job) -> tuple[str, ...]:
    """The names or files of the weights that the job is painted with."""
    at = family_of(job).weights_at
    if at is None:
        return tuple(style.source for style in job.styles)
    return (str(getattr(getattr(job, at[0]), at[1])),)


def checked(job: Job) -> Job:
    """The job with its method spelt out, once every option that is given is known to be of use.

    Raises `OptionError` for an option of another family, for one that a saved or trained style cannot follow, and for
    styles that the family cannot paint.
    """
    method = method_of(job)
    own = FAMILIES[method].groups
    for other, family in FAMILIES.items():
        if given := [flag(name) for group in family.groups if group not in own for name in _given(getattr(job, group))]:
            names = " and ".join(part for part in (", ".join(given[:-1]), given[-1]) if part)
            raise OptionError(
                f"{names} {'are' if len(given) > 1 else 'is'} of --method {other}, and --method {method} paints. "
                f"Add --method {other}, or leave {'them' if len(given) > 1 else 'it'} out."
            )
    learned.check_all([style.source for style in job.styles], method)
    for style in job.styles:
        if method == FAST:
            _check_learned(style, job)
        elif saved.is_saved(style.source):
            _check_saved(style, job, method)
    return dataclasses.replace(job, paint=dataclasses.replace(job.paint, method=method))


def own_groups(values: Mapping[str, Any], method: str) -> dict[str, Any]:
    """What of `Job.to_dict()` the family looks at: a default of another family that changes later shall not matter."""
    foreign = {group for row in FAMILIES.values() for group in row.groups} - {*FAMILIES[method].groups}
    return {name: value for name, value in values.items() if name not in foreign}


def _given(options: Options) -> list[str]:
    """The names of the options that are not the default."""
    plain = type(options)()
    names = [field.name for field in dataclasses.fields(options)]  # type: ignore[arg-type]
    return [name for name in names if getattr(options, name) != getattr(plain, name)]


def _check_learned(source: StyleSource, job: Job) -> None:
    learned.place_of(source.source)
    if job.colour.match_style != "no":
        raise OptionError(
            f"{source.source} is a trained style, and --match-style changes the style's picture. Use --match-output."
        )
    if source.scale != 1:
        raise OptionError(
            f"--style-scale is {source.scale:g} for {source.source}, whose strokes are as large as it was trained to "
            "paint them. Give 1 for it; strokes are larger in a picture that is painted smaller: --size."
        )


def _check_saved(source: StyleSource, job: Job, method: str) -> None:
    if FAMILIES[method].saved_code is None:
        raise OptionError(
            f"{source.source} is a saved style, and --method {method} needs the picture. Give the picture, or "
            "leave --method out."
        )
    if job.colour.match_style != "no":
        raise OptionError(
            f"{source.source} is a saved style, and --match-style changes the style's picture. Give the picture, or "
            "use --match-output."
        )
    if source.scale != 1:
        raise OptionError(
            f"--style-scale is {source.scale:g} for {source.source}, whose scale was fixed when it was saved. Give 1 "
            "for it, or save it again: impasto style save --style-scale"
        )
