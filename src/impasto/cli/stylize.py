"""`impasto stylize`: repaint pictures in the style of others."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, ArgumentCollection, Group, Parameter

from impasto.cli import outputs
from impasto.cli.config_file import fill_from_config, fill_from_preset
from impasto.cli.flags import Force, takes_options
from impasto.cli.mixes import MixFlags, is_folder
from impasto.cli.outputs import Target
from impasto.config.batch import FolderOptions
from impasto.config.console import ConsoleOptions
from impasto.config.job import Job, LookOptions, StyleSource
from impasto.config.pictures import OutputOptions
from impasto.config.presets import PRESETS
from impasto.core.errors import OptionError

if TYPE_CHECKING:
    from impasto.api import Plan
    from impasto.cli.folders import PlannedPicture

PICTURES = Group("Pictures", sort_key=0)
PRESET = Parameter(
    choices=tuple(PRESETS),
    help="Preset of options; flags override it. "
    + " ".join(f"{name}: {preset.about}." for name, preset in PRESETS.items()),
)


def from_preset(*call: Any) -> None:
    """Give the options of `--preset` to the flags that are not on the command line."""
    arguments: ArgumentCollection = call[-1]
    for token in next(argument for argument in arguments if argument.name == "--preset").tokens[-1:]:
        if token.value in PRESETS:  # other values are reported by the flag's own check
            fill_from_preset(token.value, arguments)


def from_config(*call: Any) -> None:
    """Give the options in the file of `--config`, and of a preset that it names, to the flags that are left."""
    fill_from_config(call[-1])
    from_preset(*call)


app = App(name="stylize", config=(from_preset, from_config))


@Parameter(name="*", group=PICTURES, negative=(), show_choices=False)
@dataclass(frozen=True, kw_only=True)
class PictureFlags:
    """Contents and outputs."""

    output: Annotated[
        Path | None,
        Parameter(
            alias="-o",
            help="File to write; the extension determines the format. Or a folder (an existing one, or a name without "
            "extension) for CONTENT-STYLE.png or another --format.",
        ),
    ] = None
    preset: Annotated[str | None, PRESET] = None
    config: Annotated[
        Path | None,
        Parameter(
            help="Take options from a TOML file with the names of flags (size = 512), or styles and options from the "
            "recipe of a picture or JSON file; flags override them."
        ),
    ] = None
    resume: Annotated[
        bool,
        Parameter(
            show_default=False,
            help="Resume after Ctrl-C (--method optimise); with several pictures, skip finished ones.",
        ),
    ] = False
    force: Force = False


@app.default
@takes_options
def stylize(
    content: Annotated[tuple[Path, ...], Parameter(help="Pictures to repaint, or folders of them.", group=PICTURES)],
    /,
    *,
    mix: MixFlags,
    pictures: PictureFlags,
    folder: FolderOptions,
    look: LookOptions,
    output: OutputOptions,
    console: ConsoleOptions,
) -> int:
    """Repaint pictures in the style of others.

    One network paints any style in one pass; trained styles have networks of their own (impasto models list);
    --method optimise takes a minute and is the most faithful. The result's metadata hold its recipe, from which impasto
    redo reproduces it. Ctrl-C stops after the current step and keeps the picture so far, and with --method optimise its
    state; --resume continues from there. A bad picture among several is skipped and reported; the exit code is then 1.
    """
    from impasto.cli.folders import FolderRun
    from impasto.cli.painting import painted

    items = _items(content, mix=mix, pictures=pictures, folder=folder, look=look, output=output)
    several = outputs.is_batch(content) or len(items) > 1 or is_folder(mix.style[0])
    run = FolderRun(items, resume=pictures.resume, force=pictures.force, several=several, console=console)
    if several:
        return run.paint()
    with run.single() as (session, bar):  # no pipeline: few frames from here to the network
        return run.finished(painted(session, items[0].output, options=items[0].options, bar=bar))


def _items(
    content: Sequence[Path],
    *,
    mix: MixFlags,
    pictures: PictureFlags,
    folder: FolderOptions,
    look: LookOptions,
    output: OutputOptions,
) -> list[PlannedPicture]:
    """The planned jobs with their outputs. Raises errors of options and paths before any work."""
    from impasto import api
    from impasto.cli.folders import PlannedPicture

    catalogue = api.StyleCatalogue()
    made = outputs.targets(
        content,
        pictures.output,
        styles=mix.style,
        stem_of=lambda text: catalogue.resolve(StyleSource(source=text)).stem,
        styles_of=catalogue.styles_in,
        folder=folder,
        bits=output.bits,
        keeps=lambda path: _is_kept(path, pictures),
    )
    jobs = [Job(content=str(each.content), styles=mix.sources(each.styles), **vars(look)) for each in made]
    plans = [api.plan_job(job, catalogue=catalogue) for job in jobs]
    options = [_of_one(target, output, several=len(made) > 1) for target in made]
    check_outputs(plans, [target.output for target in made], options=options)
    rows = zip(plans, made, options, strict=True)
    return [PlannedPicture(number, plan, target.output, own) for number, (plan, target, own) in enumerate(rows)]


def _is_kept(path: Path, pictures: PictureFlags) -> bool:
    """Whether an existing file of an automatic name is kept: any without --output, in its folder all but paintings."""
    from impasto import api

    if pictures.resume or not path.exists() or api.paused_path(path) is not None:
        return False
    return pictures.output is None or not api.has_recipe(path)


def check_outputs(plans: Sequence[Plan], made: Sequence[Path], *, options: Sequence[OutputOptions]) -> None:
    """Raise where an output or an animation would replace an input."""
    from impasto import api

    inputs = outputs.identities({name for plan in plans for name in plan.files})
    for path, own in zip(made, options, strict=True):
        outputs.check_apart(path, inputs)
        api.check_sidecar(path, own)
        if own.animation is not None:
            outputs.check_film(own.animation, inputs=[path])
            outputs.check_apart(own.animation, inputs)
            if own.animation.resolve() == path.resolve():
                raise OptionError(f"{own.animation} is both --output and --animation. Name another file for one.")
        if own.snapshots:
            outputs.check_snapshots(path, {name for plan in plans for name in plan.files})


def _of_one(target: Target, output: OutputOptions, *, several: bool) -> OutputOptions:
    """With several contents, each animation is written next to its output."""
    if output.animation is None or not several:
        return output
    return dataclasses.replace(output, animation=target.output.with_suffix(output.animation.suffix))
