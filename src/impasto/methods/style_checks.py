"""Checks of styles and options by method."""

from __future__ import annotations

from impasto.config.job import Job
from impasto.core.errors import OptionError
from impasto.styles.resolved import CodeStyle, ResolvedStyle, TrainedStyle


def check_trained(style: ResolvedStyle, job: Job) -> None:
    """Raise `OptionError` unless ``method=fast`` can paint the style as the job asks."""
    text = style.source.source
    if not isinstance(style, TrainedStyle):
        raise OptionError(
            f"{text} is not a trained style, and `method=fast` paints trained styles only. Name a trained style "
            "(impasto models list), or leave `method=fast` out."
        )
    check_trained_options(style, job)


def check_trained_options(style: TrainedStyle, job: Job) -> None:
    """Raise `OptionError` for options that need the picture of a trained style."""
    text = style.source.source
    if job.colour.match_style != "no":
        raise OptionError(
            f"{text} is a trained style, and `match_style` changes the style's picture. Use `match_output`."
        )
    if style.source.scale != 1:
        raise OptionError(
            f"`style_scale` is {style.source.scale:g} for {text}, whose strokes have the size that it was trained "
            "with. Use 1 for it, and change the stroke size with the size of the picture: `size`."
        )


def check_not_trained(style: ResolvedStyle, method: str) -> None:
    """Raise `OptionError` for a trained style, which a fast network paints."""
    if isinstance(style, TrainedStyle):
        raise OptionError(
            f"{style.source.source} is a trained style, which `method=fast` paints, and `method={method}` needs a "
            "style's picture. Leave `method` out, or give the picture."
        )


def check_needs_picture(style: ResolvedStyle, method: str) -> None:
    """Raise `OptionError` for a style that is not a picture."""
    check_not_trained(style, method)
    if isinstance(style, CodeStyle):
        raise OptionError(
            f"{style.source.source} is a saved style, and `method={method}` needs the picture. Give the picture, or "
            "leave `method` out."
        )


def check_code_style(style: CodeStyle, job: Job) -> None:
    """Raise `OptionError` for options that need the picture of a saved style."""
    text = style.source.source
    if job.colour.match_style != "no":
        raise OptionError(
            f"{text} is a saved style, and `match_style` changes the style's picture. Give the picture, or "
            "use `match_output`."
        )
    if style.source.scale != 1:
        raise OptionError(
            f"`style_scale` is {style.source.scale:g} for {text}, whose scale was fixed when it was saved. Give 1 "
            "for it, or save it again: impasto style save"
        )
