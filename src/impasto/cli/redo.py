"""`impasto redo`: make a picture again from the recipe in its metadata."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from impasto.cli import outputs
from impasto.cli.flags import Force, output_flag, takes_options
from impasto.config.console import ConsoleOptions
from impasto.config.pictures import OutputOptions

app = App(name="redo")


@app.default
@takes_options
def redo(
    file: Annotated[Path, Parameter(help="Picture or film made by impasto, or a picture's JSON file.")],
    /,
    *,
    to: Annotated[Path, output_flag("File to write; the extension determines the format.")],
    content: Annotated[Path | None, Parameter(help="The content, if it has moved.")] = None,
    style: Annotated[
        tuple[Path, ...], Parameter(help="The styles, if they have moved: each, in order.", negative=())
    ] = (),
    force: Force = False,
    output: OutputOptions,
    console: ConsoleOptions,
) -> int:
    """Make a picture again from the recipe in its metadata.

    On the same machine, with the same versions and format, the file is reproduced bit for bit: bits, quality and the
    number of threads are taken from the recipe unless flags change them. Name inputs that have moved.
    """
    outputs.check_no_input(to, [file])
    from impasto.video.source import is_film

    if is_film(file):
        from impasto.cli.video import FilmFlags, painted
        from impasto.video.film_session import film_again

        job, options = film_again(file)
        return painted(job, to, options=options, film=FilmFlags(force=force), console=console)
    return _picture_again(file, to, content=content, styles=style, force=force, output=output, console=console)


def _picture_again(
    file: Path,
    to: Path,
    *,
    content: Path | None,
    styles: tuple[Path, ...],
    force: bool,
    output: OutputOptions,
    console: ConsoleOptions,
) -> int:
    from impasto import api
    from impasto.cli.bars import working
    from impasto.cli.painting import check_gradual, painted
    from impasto.image.files import check_writable

    written = api.recipe_of(file).output_options(output)
    check_writable(to, written.bits)
    with working(console) as bar:
        session = api.redo(file, output=to, threads=console.threads, content=content, styles=styles, force=force)
        given = session.plan.files
        outputs.check_no_input(to, given)
        check_gradual(session.plan.method.gradual, written)
        if written.animation is not None:
            outputs.check_film(written.animation, inputs=[*given, file, to])
        result = painted(session, to, options=written, bar=bar)
        result.save()
    result.report(bar, as_json=console.json)
    return result.exit_code
