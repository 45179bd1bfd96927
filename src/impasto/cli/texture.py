"""`impasto texture`: a picture of any size in a style, without a content."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, ArgumentCollection, Group, Parameter

from impasto.cli import outputs
from impasto.cli.config_file import fill_from_preset
from impasto.cli.flags import Force, list_flag, takes_options
from impasto.cli.mixes import Styles, mix_of
from impasto.cli.stylize import check_outputs
from impasto.config.console import ConsoleOptions
from impasto.config.job import LookOptions
from impasto.config.pictures import OutputOptions

PRESET = "texture"


def from_texture(*call: Any) -> None:
    """Give the options of the texture preset to the flags that are left, unless another method paints.

    cyclopts calls it with the app, the commands and their arguments.
    """
    arguments: ArgumentCollection = call[-1]
    method = next(argument for argument in arguments if argument.name == "--method").tokens
    if not method or method[-1].value == "optimise":
        fill_from_preset(PRESET, arguments)


app = App(name="texture", config=(from_texture,))


@Parameter(name="*", group=Group("Pictures", sort_key=0), negative=(), show_choices=False)
@dataclass(frozen=True, kw_only=True)
class TextureFlags:
    """The size of strokes, and the output."""

    output: Annotated[
        Path | None,
        Parameter(alias="-o", help="File to write; its ending decides the format. By default STYLE-texture.png."),
    ] = None
    style_scale: Annotated[
        tuple[float, ...],
        list_flag(
            "style_scale",
            tuple[float, ...],
            help="Size of the strokes; 1 lays the style picture over the whole output. One number, or one a style. By "
            "default strokes are as large, in pixels, as in the style picture.",
            shows_default=False,
        ),
    ] = ()
    resume: Annotated[bool, Parameter(show_default=False, help="Resume after Ctrl-C (--method optimise).")] = False
    force: Force = False


@app.default
@takes_options
def texture(
    style: Styles, /, *, pictures: TextureFlags, look: LookOptions, output: OutputOptions, console: ConsoleOptions
) -> int:
    """Make a texture of any size from a style.

    By default the pixels are optimised from noise, coarse to fine, until they have the statistics of the style (Gatys,
    Ecker and Bethge 2015), with the options of --preset texture. --method arbitrary paints seeded clouds in one pass,
    which takes seconds. Another --seed gives another texture; impasto redo makes it again.
    """
    from impasto import api
    from impasto.cli.folders import FolderRun, PlannedPicture
    from impasto.image.files import check_writable

    catalogue, scales = api.StyleCatalogue(), pictures.style_scale
    sources = mix_of(style, scales=scales or (1.0,), masks=())
    plan = api.texture_plan(sources, look, own_scale=not scales, catalogue=catalogue)
    stems = "+".join(resolved.stem for resolved in plan.styles)
    path = pictures.output or outputs.unused(Path(f"{stems}-texture.png"))
    check_writable(path, output.bits)
    check_outputs([plan], [path], options=[output])
    item = PlannedPicture(0, plan, path, output)
    return FolderRun([item], resume=pictures.resume, force=pictures.force, several=False, console=console).paint()
