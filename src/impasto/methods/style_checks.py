"""Checks of styles and options by method."""

from __future__ import annotations

from impasto.config.job import Job
from impasto.core.errors import OptionError
from impasto.styles.resolved import CodeStyle, PictureStyle, ResolvedStyle, TrainedStyle


def check_trained(style: ResolvedStyle, job: Job) -> None:
    """Raise `OptionError` unless ``method=fast`` can paint the style as the job asks."""
    if not isinstance(style, TrainedStyle):
        raise OptionError(
            f"{style.source.source} is not a trained style, and `method=fast` paints trained styles only. Name a "
            "trained style (impasto models list), or leave `method=fast` out."
        )
    check_fixed_options(style, job)


def check_fixed_options(style: TrainedStyle | CodeStyle, job: Job) -> None:
    """Raise `OptionError` for options that need the picture of a trained or saved style."""
    text, trained = style.source.source, isinstance(style, TrainedStyle)
    if job.colour.match_style != "no":
        kind, instead = ("trained", "Use") if trained else ("saved", "Give the picture, or use")
        raise OptionError(
            f"{text} is a {kind} style, and `match_style` changes the style's picture. {instead} `match_output`."
        )
    if style.source.scale != 1:
        fixed = (
            "whose strokes have the size that it was trained with. Use 1 for it, and change the stroke size with the "
            "size of the picture: `size`."
            if trained
            else "whose scale was fixed when it was saved. Give 1 for it, or save it again: impasto style save"
        )
        raise OptionError(f"`style_scale` is {style.source.scale:g} for {text}, {fixed}")


def check_needs_picture(style: ResolvedStyle, method: str) -> None:
    """Raise `OptionError` for a style that is not a picture."""
    text = style.source.source
    if isinstance(style, TrainedStyle):
        raise OptionError(
            f"{text} is a trained style, which `method=fast` paints, and `method={method}` needs a style's picture. "
            "Leave `method` out, or give the picture."
        )
    if not isinstance(style, PictureStyle):
        raise OptionError(
            f"{text} is a saved style, and `method={method}` needs the picture. Give the picture, or leave `method` "
            "out."
        )
