"""A self-contained page that paints in a browser without a server: networks, styles and runtime are embedded."""

from __future__ import annotations

import base64
import gzip
import html
import importlib.resources
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import impasto
from impasto.config.arbitrary import SMALL_NETWORK
from impasto.config.export import BrowserOptions
from impasto.config.job import StyleSource
from impasto.core.errors import OptionError
from impasto.core.paths import written_whole
from impasto.encoders.table import Progress
from impasto.export.conversion import onnx_model
from impasto.export.graphs import (
    MULTIPLE_PX,
    Graph,
    PaintingModule,
    arbitrary_graphs,
    arbitrary_painting,
    painter_of,
    row_graph,
    row_of,
)
from impasto.export.parity import checked, onnx_engine
from impasto.export.runtime import VERSION, WASM, WEBGPU, RuntimeFiles, runtime_files
from impasto.image.inline import address
from impasto.image.resize import fit, resized
from impasto.image.samples import sample
from impasto.nets import table
from impasto.nets.layers import is_style_param
from impasto.session.prepared import PreparedStylizer, prepare_style
from impasto.styles.catalogue import StyleCatalogue
from impasto.styles.resolved import TrainedStyle
from impasto.stylizers.arbitrary import Arbitrary
from impasto.stylizers.fast import Fast

DEFAULT_STYLES = ("compact-styles",)
THUMBNAIL_PX, SAMPLE_PX = 112, 640
SAMPLE = "chelsea"
PAGE = "page"

Tell = Callable[[int, int, str], None]
"""Called with the number of finished steps, the number of steps, and the name of the next one."""


@dataclass
class _Painters:
    """Painters by the digest of their weights; styles with the same convolutions share one."""

    by_base: dict[str, tuple[PaintingModule, Tensor]] = field(default_factory=dict)

    def index(self, base: str, *, painting: PaintingModule, row: Tensor) -> int:
        """The index of the painter with these weights; `row` has the parameters of an example style."""
        self.by_base.setdefault(base, (painting, row))
        return list(self.by_base).index(base)


@dataclass(frozen=True)
class PageInfo:
    """A page that was written."""

    path: Path
    styles: tuple[str, ...]
    size_bytes: int
    difference: float


def write_browser_page(
    path: Path,
    options: BrowserOptions,
    *,
    tell: Tell = lambda done, total, text: None,
    progress: Progress | None = None,
) -> PageInfo:
    """Write the page to `path`. Each exported network is compared with the original.

    Raises `ImageError`, `OptionError`, `UnknownName`, `WeightsError` and its kinds.
    """
    if path.suffix.lower() not in (".html", ".htm"):
        raise OptionError(f"{path} does not end in .html. Rename it.")
    engines = {"wasm": WASM} | ({"webgpu": WEBGPU} if options.webgpu else {})
    files = {kind: runtime_files(engine, folder=options.runtime, progress=progress) for kind, engine in engines.items()}
    painters, styles = _Painters(), list[dict[str, Any]]()
    sources = _sources(options)
    for index, source in enumerate(sources):
        tell(index, len(sources) + 1, f"style {source}")
        styles.append(_style(source, painters, options=options))
    tell(len(sources), len(sources) + 1, "networks")
    learner = _learner(painters, options) if options.any else None
    models, worst = dict[str, bytes](), 0.0
    for index, (painting, row) in enumerate(painters.by_base.values()):
        models[f"painter-{index}"], apart = _model(row_graph(painting, row, name=f"painter {index}"))
        worst = max(worst, apart)
    described = _description(styles, options)
    if learner is not None:
        graph, painter = learner
        models["learner"], _ = _model(graph)
        described["any"] = {"painter": painter, "network": options.network, "style_px": options.style_px}
    with written_whole(path) as temporary:
        temporary.write_text(_page(described, models, engines=engines, files=files), encoding="utf-8")
    return PageInfo(path, tuple(style["name"] for style in styles), path.stat().st_size, worst)


def _sources(options: BrowserOptions) -> list[str]:
    """The texts of the styles; a network is replaced by its styles."""
    catalogue = StyleCatalogue()
    chosen = options.style or DEFAULT_STYLES
    texts = [text for name in chosen for text in (catalogue.sources([name]) if name in catalogue.networks else [name])]
    return [_small(text, catalogue) for text in texts] if options.network == SMALL_NETWORK else texts


def _small(text: str, catalogue: StyleCatalogue) -> str:
    """The text of the same style in a network with less arithmetic, where there is one."""
    style = catalogue.resolve(StyleSource(source=text))
    small = catalogue.small(style) if isinstance(style, TrainedStyle) else None
    return text if small is None else small.source


def _style(source: str, painters: _Painters, *, options: BrowserOptions) -> dict[str, Any]:
    """A style of the page: its name, painter, parameters, thumbnail and licence."""
    prepared = prepare_style(
        source,
        network=options.network,
        style_px=options.style_px,
        strength=1.0,
        precision="float32",
        device=torch.device("cpu"),
    )
    base, painting, row = _painting(prepared)
    return {
        "name": prepared.name,
        "painter": painters.index(base, painting=painting, row=row),
        "row": base64.b64encode(row.float().numpy().astype("<f4").tobytes()).decode("ascii"),
        "thumbnail": address(prepared(_sample(THUMBNAIL_PX)), "JPEG", quality=80),
        "licence": prepared.licence,
    }


def _painting(prepared: PreparedStylizer) -> tuple[str, PaintingModule, Tensor]:
    """The digest and the painter of a prepared style, and the row of the style's parameters."""
    if isinstance(prepared.stylizer, Arbitrary):
        (part,) = prepared.code
        network = prepared.stylizer.network
        painting, _ = arbitrary_painting(network)
        row = row_of({key: value for key, value in part.network.params.items() if is_style_param(key)})
        return str(network.base), painting, row
    assert isinstance(prepared.stylizer, Fast)
    (fast,) = prepared.stylizer.networks.values()
    return fast.base, *painter_of(fast)


def _learner(painters: _Painters, options: BrowserOptions) -> tuple[Graph, int]:
    """The graph from a style picture to a row of parameters, and the index of the painter that reads them."""
    network = table.load_network(options.network, precision="float32")
    _, learner = arbitrary_graphs(network)
    painting, row = arbitrary_painting(network)
    return learner, painters.index(str(network.base), painting=painting, row=row)


def _model(graph: Graph) -> tuple[bytes, float]:
    model = onnx_model(graph)
    return model.SerializeToString(), checked(graph, onnx_engine(model))


def _description(styles: Sequence[dict[str, Any]], options: BrowserOptions) -> dict[str, Any]:
    return {
        "version": impasto.__version__,
        "runtime": VERSION,
        "multiple_px": MULTIPLE_PX,
        "styles": list(styles),
        "sample": address(_sample(SAMPLE_PX), "JPEG", quality=88),
        "any": None,
    }


def _sample(side_px: int) -> Tensor:
    """The sample photograph, about `side_px` wide."""
    pixels = sample(SAMPLE).pixels
    height, width = fit((pixels.shape[-2], pixels.shape[-1]), long_side_px=side_px)
    return resized(pixels, (height // MULTIPLE_PX * MULTIPLE_PX, width // MULTIPLE_PX * MULTIPLE_PX))


def _page(
    described: dict[str, Any],
    models: dict[str, bytes],
    *,
    engines: dict[str, RuntimeFiles],
    files: dict[str, dict[str, bytes]],
) -> str:
    """The HTML with all parts embedded; large ones are compressed, and read on demand."""
    parts = {"description": json.dumps(described, ensure_ascii=False).encode(), **models}
    for kind, engine in engines.items():
        parts |= {
            f"{kind}-script": files[kind][engine.script],
            f"{kind}-loader": files[kind][engine.loader],
            f"{kind}-binary": files[kind][engine.binary],
        }
    folder = importlib.resources.files("impasto.export") / PAGE
    text = {name: (folder / name).read_text(encoding="utf-8") for name in ("page.html", "page.css", "page.js")}
    parts["worker"] = (folder / "worker.js").read_bytes()
    blocks = (f'<script type="application/gzip" id="{name}">{_packed(data)}</script>' for name, data in parts.items())
    inserted = {
        "<!--STYLE-->": f"<style>\n{text['page.css']}</style>",
        "<!--PARTS-->": "\n".join(blocks),
        "<!--SCRIPT-->": f'<script type="module">\n{text["page.js"]}</script>',
        "<!--VERSION-->": html.escape(f"impasto {impasto.__version__}"),
        "<!--RUNTIME-->": html.escape(VERSION),
    }
    page = text["page.html"]
    for mark, content in inserted.items():
        page = page.replace(mark, content)
    return page


def _packed(data: bytes) -> str:
    return base64.b64encode(gzip.compress(data, 9, mtime=0)).decode("ascii")
