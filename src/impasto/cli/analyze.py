"""`impasto analyze`: what an encoder sees in a picture, and what options do to a painting."""

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
from impasto.cli.bars import Bar, TimeLeft, as_losses, as_time, fetched
from impasto.cli.flags import flagged, plain
from impasto.cli.groups import ConsoleFlags
from impasto.cli.stopping import INTERRUPTED, on_interrupt
from impasto.config.analysis import (
    EncoderViewOptions,
    FeatureOptions,
    GramOptions,
    LayersOptions,
    RebuildOptions,
    RebuildTarget,
)

if TYPE_CHECKING:
    from torch import Tensor

    from impasto.encoders.table import Encoder
    from impasto.stylizers.protocol import Step

app = App(name="analyze", help="Look into pictures, encoders, options and training runs.")
app.command("impasto.cli.experiments:curves")
app.command("impasto.cli.experiments:paint_sweep", name="sweep")
NOTE = "impasto-analysis"  # name of the note in the written pictures


@flagged("Encoder")
class EncoderViewFlags(EncoderViewOptions):
    """Flags of `EncoderViewOptions`."""


@flagged("Target")
class TargetFlags(RebuildTarget):
    """Flags of `RebuildTarget`."""


@flagged("Rebuilding")
class RebuildFlags(RebuildOptions):
    """Flags of `RebuildOptions`."""


@flagged("Sheet")
class LayersFlags(LayersOptions):
    """Flags of `LayersOptions`."""


@flagged("Gram matrices")
class GramFlags(GramOptions):
    """Flags of `GramOptions`."""


@flagged("Channels")
class FeatureFlags(FeatureOptions):
    """Flags of `FeatureOptions`."""


Picture = Annotated[Path, Parameter(help="Picture to look at.")]
Output = Annotated[Path, Parameter(name=("--output", "-o"), negative=(), help="Picture file to write.")]
_VIEW, _REBUILD, _CONSOLE = EncoderViewFlags(), RebuildFlags(), ConsoleFlags()
_TARGET, _LAYERS, _GRAM, _FEATURES = TargetFlags(), LayersFlags(), GramFlags(), FeatureFlags()


@app.command
def reconstruct(
    picture: Picture,
    /,
    *,
    output: Output,
    animation: Annotated[
        Path | None, Parameter(negative=(), help="Write the picture as it comes out of the noise: a .gif or .mp4 file.")
    ] = None,
    target: TargetFlags = _TARGET,
    rebuild: RebuildFlags = _REBUILD,
    view: EncoderViewFlags = _VIEW,
    console: ConsoleFlags = _CONSOLE,
) -> int:
    """Rebuild a picture from noise by what one layer keeps of it, or by the style of one or several.

    Ctrl-C stops after the running step and keeps the picture so far.
    """
    with Bar(quiet=console.quiet) as bar:
        look = _Look.at(picture, output, view, console, bar, precision=rebuild.precision, aside=animation)
        from impasto.analysis import reconstruct as rebuilding

        steps = rebuilding.rebuilt(look.pixels, plain(target), encoder=look.encoder, options=plain(rebuild))
        step, stopped = _walked(steps, bar, output.name, look, animation)
        error = rebuilding.error_of(step)
        row = {"error": error, "steps": step.index, "stopped": stopped, "losses": dict(step.losses)}
        options = {"target": target.to_dict(), "rebuild": rebuild.to_dict(), "view": view.to_dict()}
        look.write(step.picture(), command="reconstruct", options=options, row=row)
        bar.note(f"{step.index} steps, {look.seconds:.1f} s, error {error:.2%}{', stopped' if stopped else ''}")
    return INTERRUPTED if stopped else 0


@app.command
def layers(
    picture: Picture,
    /,
    *,
    output: Output,
    sheet: LayersFlags = _LAYERS,
    rebuild: RebuildFlags = _REBUILD,
    view: EncoderViewFlags = _VIEW,
    console: ConsoleFlags = _CONSOLE,
) -> int:
    """Show what each layer keeps: one sheet of reconstructions from features and from style."""
    with Bar(quiet=console.quiet) as bar:
        look = _Look.at(picture, output, view, console, bar, precision=rebuild.precision)
        from impasto.analysis.layers import layer_sheet, layer_steps
        from impasto.analysis.reconstruct import error_of

        ends = {}
        for at in layer_steps(look.pixels, sheet.layers, encoder=look.encoder, options=plain(rebuild)):
            ends[at.number] = at
            done = at.number - 1 + at.step.index / at.step.total
            bar.show(done, at.count, f"picture {at.number}/{at.count}  step {at.step.index}/{at.step.total}")
        made = layer_sheet(look.pixels, list(ends.values()), cell_px=sheet.cell_px, name=picture.name)
        errors = [{**end.target.to_dict(), "error": error_of(end.step)} for end in ends.values()]
        options = {"sheet": sheet.to_dict(), "rebuild": rebuild.to_dict(), "view": view.to_dict()}
        look.write(made, command="layers", options=options, row={"reconstructions": errors})
        bar.note(f"{len(ends)} reconstructions, {look.seconds:.1f} s")
    return 0


@app.command
def gram(
    picture: Picture,
    /,
    *,
    output: Output,
    matrices: GramFlags = _GRAM,
    view: EncoderViewFlags = _VIEW,
    console: ConsoleFlags = _CONSOLE,
) -> int:
    """Draw Gram matrices: which channels of a layer fire together, and so what a style is to a stylizer."""
    with Bar(quiet=console.quiet) as bar:
        look = _Look.at(picture, output, view, console, bar)
        from impasto.analysis.gram import gram_sheet

        made = gram_sheet(look.pixels, encoder=look.encoder, options=plain(matrices), name=picture.name)
        options = {"matrices": matrices.to_dict(), "view": view.to_dict()}
        look.write(made, command="gram", options=options, row={"layers": list(matrices.layers)})
    return 0


@app.command
def features(
    picture: Picture,
    /,
    *,
    output: Output,
    channels: FeatureFlags = _FEATURES,
    view: EncoderViewFlags = _VIEW,
    console: ConsoleFlags = _CONSOLE,
) -> int:
    """Draw the channels of a layer: where in the picture it finds what."""
    with Bar(quiet=console.quiet) as bar:
        look = _Look.at(picture, output, view, console, bar)
        from impasto.analysis.features import feature_sheet

        made = feature_sheet(look.pixels, encoder=look.encoder, options=plain(channels), name=picture.name)
        options = {"channels": channels.to_dict(), "view": view.to_dict()}
        look.write(made, command="features", options=options, row={"layer": channels.layer})
    return 0


@dataclass
class _Look:
    """A picture and the encoder that looks at it; `write` ends the command."""

    picture: Path
    output: Path
    pixels: Tensor
    encoder: Encoder
    json: bool
    began: float = field(default_factory=time.monotonic)

    @classmethod
    def at(
        cls,
        picture: Path,
        output: Path,
        view: EncoderViewOptions,
        console: ConsoleFlags,
        bar: Bar,
        *,
        precision: str = "float32",
        aside: Path | None = None,
    ) -> _Look:
        """Check the outputs, read the picture, load the encoder."""
        from impasto.analysis.encoder_view import encoder_of, view_pixels
        from impasto.cli import batch
        from impasto.image import files

        files.check_writable(output, 8)
        outputs.check_no_input(output, [picture])
        if aside is not None:
            outputs.check_film(aside, inputs=[picture, output])
        batch.prepare(console)
        pixels = view_pixels(files.read(picture), view)
        encoder = encoder_of(view, precision=precision, progress=fetched(bar, view.encoder))
        return cls(picture, output, pixels, encoder, console.json)

    @property
    def seconds(self) -> float:
        """Seconds since the encoder was ready."""
        return time.monotonic() - self.began

    def write(self, made: Tensor, *, command: str, options: Mapping[str, Any], row: Mapping[str, Any]) -> None:
        """Store the picture with a note of what made it, and print its path or the JSON row."""
        import impasto
        from impasto.image import files

        weights = {self.encoder.name: self.encoder.sha256}
        note = {"command": command, "options": options, "weights": weights, "impasto": impasto.__version__}
        files.write(self.output, made, notes={NOTE: json.dumps(note, ensure_ascii=False)})
        size = [made.shape[-1], made.shape[-2]]
        about = {"output": str(self.output), "picture": str(self.picture), "size": size, "weights": weights, **row}
        about["seconds"] = round(self.seconds, 3)
        print(json.dumps(about) if self.json else self.output, flush=True)


def _walked(steps: Iterator[Step], bar: Bar, name: str, look: _Look, film: Path | None) -> tuple[Step, bool]:
    """The last step, or the one at which the user asked to stop, which the second value says."""
    from impasto.video import animation

    h, w = look.pixels.shape[-2:]
    left: TimeLeft | None = None
    shown = -1
    with on_interrupt(bar.note) as stop, ExitStack() as stack:
        add = stack.enter_context(animation.written(film, (h, w))) if film else None
        for step in steps:
            left = left or TimeLeft(step.total)
            rest = as_time(left.after(step.index))
            text = f"{name}  step {step.index}/{step.total}  {as_losses(step.losses)}  {rest and f'{rest} left'}"
            bar.show(step.index, step.total, text.rstrip())
            if add and step.index % animation.stride(step.total) == 0:
                add(step.picture())
                shown = step.index
            stop.worth_keeping = True
            if stop.asked:
                break
        if add and shown != step.index:
            add(step.picture())
    return step, stop.asked and step.index < step.total
