"""`impasto train`: train networks."""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from impasto.cli.flags import output_flag, takes_options
from impasto.config.arbitrary_training import ArbitraryFitOptions, ArbitraryTrainOptions
from impasto.config.console import ConsoleOptions
from impasto.config.distil import DistilOptions
from impasto.config.fast_training import FastFitOptions, FastTrainOptions
from impasto.config.new_style import NewStyleFitOptions, NewStyleOptions
from impasto.config.training import BackboneOptions, FitOptions
from impasto.core.options import Options

if TYPE_CHECKING:
    from impasto.training.fit import Progress

app = App(name="train", help="Train networks.", version_flags=())
app.command("impasto.cli.experiments:sweep")
Output = Annotated[Path, output_flag("Folder for the weight file, checkpoints, samples and log.")]
NAMED = 3  # unreadable pictures that are named


def _add_command(name: str, about: str, *, prepare: str, options: type[Options], fit: type[FitOptions]) -> None:
    """Add a training whose `prepare`, a function `module.name` of `training`, takes both groups of options."""

    def train(*, output: Output, training: Any, fit: Any, console: ConsoleOptions) -> int:
        module, _, function = prepare.partition(".")
        prepared = getattr(importlib.import_module(f"impasto.training.{module}"), function)
        return _trained(lambda: prepared(training, fit).train(output), output, fit=fit, console=console)

    train.__doc__ = f"{about}\n\n{CTRL_C}"
    train.__annotations__ |= {"training": options, "fit": fit}
    app.command(takes_options(train), name=name)


CTRL_C = "Ctrl-C stops after the current step; the same command resumes exactly there."
_add_command(
    "backbone",
    "Train an encoder by distillation (with --teacher) or by classification.",
    prepare="backbone_run.prepare_backbone",
    options=BackboneOptions,
    fit=FitOptions,
)
_add_command(
    "arbitrary",
    "Train an arbitrary network, which paints any style in one pass (Huang & Belongie 2017).",
    prepare="arbitrary_run.prepare_arbitrary",
    options=ArbitraryTrainOptions,
    fit=ArbitraryFitOptions,
)
_add_command(
    "fast",
    "Train a fast network of one or several styles (Johnson et al. 2016; Dumoulin et al. 2017).",
    prepare="fast_run.prepare_fast",
    options=FastTrainOptions,
    fit=FastFitOptions,
)


@app.command
@takes_options
def distil(*, output: Output, distil: DistilOptions, fit: FastFitOptions, console: ConsoleOptions) -> int:
    """Train a fast network to paint like its teachers: trained styles, pictures, or folders of results.

    Ctrl-C stops after the current step; the same command resumes exactly there.
    """
    from impasto.training.distil_run import prepare_distil
    from impasto.training.processes import is_first

    def tell(line: str) -> None:
        if is_first() and not console.quiet:
            print(line, file=sys.stderr)

    return _trained(lambda: prepare_distil(distil, fit, tell=tell).train(output), output, fit=fit, console=console)  # type: ignore[type-var]


@app.command
@takes_options
def style(
    picture: Annotated[Path, Parameter(help="Picture of the style.")],
    /,
    *,
    output: Annotated[
        Path | None, output_flag("Folder for network, checkpoints, samples and log. Without: NAME-training.")
    ] = None,
    style: NewStyleOptions,
    fit: NewStyleFitOptions,
    console: ConsoleOptions,
) -> int:
    """Train one more style of a fast network, in minutes; afterwards it is available by its name.

    Only norm parameters are trained (Dumoulin et al. 2017). Ctrl-C stops after the current step; the same command
    resumes exactly there.
    """
    from impasto.styles.catalogue import StyleCatalogue
    from impasto.training.new_style import train_style
    from impasto.training.run import NETWORK
    from impasto.weights.readers import import_weights

    name = style.name or picture.stem
    folder = output if output is not None else Path(f"{name}-training")  # a folder NAME would shadow the style
    StyleCatalogue().check_new(name, replace=style.replace or _was_imported(folder / NETWORK, name))
    code = _trained(lambda: train_style(picture, style, fitting=fit, folder=folder), folder, fit=fit, console=console)  # type: ignore[type-var]
    if code == 0:
        import_weights(folder / NETWORK, name=name, replace=True)
        print(f"impasto stylize photo.jpg --style {name} -o out.png", file=sys.stderr)
    return code


def _was_imported(path: Path, name: str) -> bool:
    """Whether the imported style `name` is the network in `path`: a finished training that is repeated."""
    from impasto.weights.card import load
    from impasto.weights.catalogue import imported_path

    stored = imported_path(name)
    return path.is_file() and stored.is_file() and load(stored).card.training == load(path).card.training


def _trained(start: Callable[[], Iterator[Progress]], output: Path, *, fit: FitOptions, console: ConsoleOptions) -> int:
    """Train to the end, or until a signal; the exit code."""
    from impasto.analysis.curves import LossPicture
    from impasto.cli.bars import Bar, TimeLeft, as_time, prepare_processor
    from impasto.cli.stopping import INTERRUPTED, on_interrupt
    from impasto.training.processes import is_first

    prepare_processor(console)
    stopped, progress = False, None
    left: TimeLeft | None = None
    with Bar(quiet=console.quiet or not is_first()) as bar, on_interrupt(bar.note) as stop:
        losses = LossPicture(output, bar.tell_error)
        # closing writes a checkpoint
        with contextlib.closing(start()) as steps:  # type: ignore[type-var]
            for progress in steps:
                if not stop.worth_keeping:
                    bar.note(f"training on {progress.device}")
                stop.worth_keeping, left = True, left or TimeLeft(progress.steps)
                if progress.sample is not None:
                    bar.note(f"sample: {progress.sample}")
                    losses.draw()
                bar.show(progress.step, progress.steps, _described(progress, as_time(left.after(progress.step))))
                stopped = stop.asked and progress.step < progress.steps
                if stopped:
                    break
        if is_first():
            losses.draw()
        for line in _afterwards(progress, output, stopped=stopped):
            bar.note(line)
    if not stopped and is_first():
        print(_result(progress, output, fit=fit) if console.json else output)
    return INTERRUPTED if stopped else 0


def _afterwards(progress: Progress | None, output: Path, *, stopped: bool) -> Iterator[str]:
    if progress is None:
        yield f"{output} was trained to the end already. To train longer, give more --steps."
        return
    if progress.unreadable:
        count, first = len(progress.unreadable), "; ".join(progress.unreadable[:NAMED])
        more = f"; and {count - NAMED} more" if count > NAMED else ""
        yield f"unreadable pictures, replaced by the next readable ones: {count} ({first}{more})"
    if stopped:
        yield f"stopped after step {progress.step} of {progress.steps}; the same command resumes there."


def _result(progress: Progress | None, output: Path, *, fit: FitOptions) -> str:
    row = {
        "output": str(output),
        "steps": progress.steps if progress is not None else fit.steps,
        "losses": progress.losses if progress is not None else {},
        "unreadable": list(progress.unreadable) if progress is not None else [],
    }
    return json.dumps(row)


def _described(progress: Progress, time_left: str) -> str:
    """`step 20/6000  1:05 left  classes 0.52`."""
    from impasto.cli.bars import as_losses

    skipped = f"{progress.skipped} skipped" if progress.skipped else ""
    parts = [f"step {progress.step}/{progress.steps}", time_left and f"{time_left} left", skipped]
    return "  ".join(part for part in [*parts, as_losses(progress.losses)] if part)
