"""`impasto export`: networks for other engines, and a self-contained page for browsers."""

from __future__ import annotations

import json as json_text
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from impasto.cli.flags import output_flag, takes_options
from impasto.cli.models import Json, Quiet
from impasto.config.export import BrowserOptions, OnnxOptions

app = App(
    name="export",
    help="Export networks to ONNX and OpenVINO, or as a self-contained page for browsers.",
    version_flags=(),
)


@app.command
@takes_options
def onnx(
    name: Annotated[str, Parameter(help="Network, encoder or trained style, by name or file.")],
    /,
    *,
    output: Annotated[Path, output_flag("File to write: .onnx, or .xml of OpenVINO.")],
    file: OnnxOptions,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Export a network to ONNX, and compare the output of ONNX Runtime with the original.

    A network of several trained styles has an input for their weights; an arbitrary network has an input for style
    parameters, which a second model, OUTPUT-style, computes from a picture. Pictures are RGB in [0, 1], (1, 3, height,
    width).
    """
    from impasto.cli.bars import Bar, fetch_progress
    from impasto.export.files import write_graphs

    with Bar(quiet=quiet) as bar:
        for written in write_graphs(name, output, options=file, progress=fetch_progress(bar, name)):
            row = {
                "output": str(written.path), "name": written.name, "inputs": written.inputs,
                "outputs": written.outputs, "difference": written.difference, "unit": written.unit,
            }  # fmt: skip
            print(json_text.dumps(row, ensure_ascii=False) if json else written.path, flush=True)
            if not (json or quiet):
                bar.note(f"differs from {written.name} by at most {written.difference:.2g} {written.unit}")
    return 0


@app.command
@takes_options
def browser(
    *,
    output: Annotated[Path, output_flag("HTML file to write.")],
    page: BrowserOptions,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Write a self-contained page that paints in a browser, also opened as a local file and offline.

    The runtime, onnxruntime-web, is downloaded once from the npm registry, 33 MB, or taken from --runtime.
    """
    from impasto.cli.bars import Bar, as_size, fetch_progress
    from impasto.export.browser import write_browser_page

    with Bar(quiet=quiet) as bar:
        info = write_browser_page(output, page, tell=bar.show, progress=fetch_progress(bar, "onnxruntime-web"))
    row = {
        "output": str(info.path), "styles": list(info.styles), "size_bytes": info.size_bytes,
        "difference": info.difference,
    }  # fmt: skip
    print(json_text.dumps(row, ensure_ascii=False) if json else info.path, flush=True)
    if not (json or quiet):
        print(f"{as_size(info.size_bytes)}, {len(info.styles)} styles", file=sys.stderr)
    return 0
