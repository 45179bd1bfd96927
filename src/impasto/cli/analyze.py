"""`impasto analyze`: reconstructions, Gram matrices and feature maps of a picture."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from impasto.cli import outputs
from impasto.cli.bars import Bar, TimeLeft, as_losses, as_time, fetch_progress, working
from impasto.cli.flags import output_flag, takes_options
from impasto.cli.stopping import INTERRUPTED, on_interrupt
from impasto.config.analysis import (
    EncoderViewOptions,
    FeatureOptions,
    GramOptions,
    LayersOptions,
    RebuildOptions,
    RebuildTarget,
)
from impasto.config.console import ConsoleOptions

if TYPE_CHECKING:
    from torch import Tensor

    from impasto.encoders.table import Encoder
    from impasto.stylizers.protocol import Step

app = App(name="analyze", help="Analyse pictures, encoders, options and training runs.")
app.command("impasto.cli.experiments:curves")
app.command("impasto.cli.experiments:paint_sweep", name="sweep")
NOTE = "impasto-analysis"  # key of the metadata in the pictures


Picture = Annotated[Path, Parameter(help="Picture to analyse.")]
Output = Annotated[Path, output_flag("Picture file to write.")]


@app.command
@takes_options
def reconstruct(
    picture: Picture,
    /,
    *,
    output: Output,
    animation: Annotated[
        Path | None, Parameter(negative=(), help="Animation of the reconstruction: a .gif or .mp4 file.")
    ] = None,
    target: RebuildTarget,
    rebuild: RebuildOptions,
    view: EncoderViewOptions,
    console: ConsoleOptions,
) -> int:
    """Reconstruct a picture from noise by the features of one layer, or by the style of one or several.

    Ctrl-C stops after the current step and keeps the picture so far.
    """
    with working(console) as bar:
        analysis = _Analysis.open(
            picture, output, view=view, console=console, bar=bar, precision=rebuild.precision, film=animation
        )
        from impasto.analysis import reconstruct as rebuilding

        steps = rebuilding.rebuilt(analysis.pixels, target, encoder=analysis.encoder, options=rebuild)
        step, stopped = _followed(steps, analysis, bar=bar, film=animation)
        error = rebuilding.error_of(step)
        row = {"error": error, "steps": step.index, "stopped": stopped, "losses": dict(step.losses)}
        options = {"target": target.to_dict(), "rebuild": rebuild.to_dict(), "view": view.to_dict()}
        analysis.write(step.picture(), command="reconstruct", options=options, row=row)
        bar.note(f"{step.index} steps, {analysis.seconds:.1f} s, error {error:.2%}{', stopped' if stopped else ''}")
    return INTERRUPTED if stopped else 0


@app.command
@takes_options
def layers(
    picture: Picture,
    /,
    *,
    output: Output,
    sheet: LayersOptions,
    rebuild: RebuildOptions,
    view: EncoderViewOptions,
    console: ConsoleOptions,
) -> int:
    """Reconstruct a picture from the features and the style of each layer, on one sheet."""
    with working(console) as bar:
        analysis = _Analysis.open(picture, output, view=view, console=console, bar=bar, precision=rebuild.precision)
        from impasto.analysis.layers import layer_sheet, layer_steps
        from impasto.analysis.reconstruct import error_of

        ends = {}
        for at in layer_steps(analysis.pixels, sheet.layers, encoder=analysis.encoder, options=rebuild):
            ends[at.number] = at
            done = at.number - 1 + at.step.index / at.step.total
            bar.show(done, at.count, f"picture {at.number}/{at.count}  step {at.step.index}/{at.step.total}")
        made = layer_sheet(analysis.pixels, list(ends.values()), cell_px=sheet.cell_px, name=picture.name)
        errors = [{**end.target.to_dict(), "error": error_of(end.step)} for end in ends.values()]
        options = {"sheet": sheet.to_dict(), "rebuild": rebuild.to_dict(), "view": view.to_dict()}
        analysis.write(made, command="layers", options=options, row={"reconstructions": errors})
        bar.note(f"{len(ends)} reconstructions, {analysis.seconds:.1f} s")
    return 0


@app.command
@takes_options
def gram(
    picture: Picture, /, *, output: Output, matrices: GramOptions, view: EncoderViewOptions, console: ConsoleOptions
) -> int:
    """Draw Gram matrices: the correlations between the channels of a layer, which represent a style."""
    with working(console) as bar:
        analysis = _Analysis.open(picture, output, view=view, console=console, bar=bar)
        from impasto.analysis.gram import gram_sheet

        made = gram_sheet(analysis.pixels, encoder=analysis.encoder, options=matrices, name=picture.name)
        options = {"matrices": matrices.to_dict(), "view": view.to_dict()}
        analysis.write(made, command="gram", options=options, row={"layers": list(matrices.layers)})
    return 0


@app.command
@takes_options
def features(
    picture: Picture, /, *, output: Output, channels: FeatureOptions, view: EncoderViewOptions, console: ConsoleOptions
) -> int:
    """Draw the feature maps of a layer: where in the picture each channel is active."""
    with working(console) as bar:
        analysis = _Analysis.open(picture, output, view=view, console=console, bar=bar)
        from impasto.analysis.features import feature_sheet

        made = feature_sheet(analysis.pixels, encoder=analysis.encoder, options=channels, name=picture.name)
        options = {"channels": channels.to_dict(), "view": view.to_dict()}
        analysis.write(made, command="features", options=options, row={"layer": channels.layer})
    return 0


@dataclass
class _Analysis:
    """A picture and its encoder; `write` ends the command."""

    picture: Path
    output: Path
    pixels: Tensor
    encoder: Encoder
    json: bool
    began: float = field(default_factory=time.monotonic)

    @classmethod
    def open(
        cls,
        picture: Path,
        output: Path,
        *,
        view: EncoderViewOptions,
        console: ConsoleOptions,
        bar: Bar,
        precision: str = "float32",
        film: Path | None = None,
    ) -> _Analysis:
        """Check the outputs, read the picture, load the encoder."""
        from impasto.analysis.reconstruct import encoder_of, view_pixels
        from impasto.image import files

        files.check_writable(output, 8)
        outputs.check_no_input(output, [picture])
        if film is not None:
            outputs.check_film(film, inputs=[picture, output])
        pixels = view_pixels(files.read(picture), view)
        encoder = encoder_of(view, precision=precision, progress=fetch_progress(bar, view.encoder))
        return cls(picture, output, pixels, encoder, console.json)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    def write(self, made: Tensor, *, command: str, options: Mapping[str, Any], row: Mapping[str, Any]) -> None:
        """Write the picture with its options as metadata, and print its path or the JSON row."""
        import impasto
        from impasto.image import files

        weights = {self.encoder.name: self.encoder.sha256}
        note = {"command": command, "options": options, "weights": weights, "impasto": impasto.__version__}
        files.write(self.output, made, notes={NOTE: json.dumps(note, ensure_ascii=False)})
        size = [made.shape[-1], made.shape[-2]]
        about = {"output": str(self.output), "picture": str(self.picture), "size": size, "weights": weights, **row}
        about["seconds"] = round(self.seconds, 3)
        print(json.dumps(about) if self.json else self.output, flush=True)


def _followed(steps: Iterator[Step], analysis: _Analysis, *, bar: Bar, film: Path | None) -> tuple[Step, bool]:
    """The last step, and whether the user stopped before the end."""
    from impasto.video import animation

    h, w = analysis.pixels.shape[-2:]
    left: TimeLeft | None = None
    shown = -1
    with on_interrupt(bar.note) as stop, ExitStack() as stack:
        add = stack.enter_context(animation.written(film, (h, w))) if film else None
        for step in steps:
            left = left or TimeLeft(step.total)
            rest = as_time(left.after(step.index))
            parts = [f"step {step.index}/{step.total}", as_losses(step.losses), rest and f"{rest} left"]
            bar.show(step.index, step.total, "  ".join([analysis.output.name, *filter(None, parts)]))
            if add and step.index % animation.stride(step.total) == 0:
                add(step.picture())
                shown = step.index
            stop.worth_keeping = True
            if stop.asked:
                break
        if add and shown != step.index:
            add(step.picture())
    return step, stop.asked and step.index < step.total
