"""The page in a real browser, from a file: what it paints is what torch paints."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from browser import REQUIRED, Page, chromium, needs_chromium

from impasto.config.export import BrowserOptions
from impasto.core.errors import DownloadFailed, OptionError
from impasto.export.browser import write_browser_page
from impasto.export.runtime import WASM, WEBGPU, runtime_files
from impasto.image import files
from impasto.nets import fast, table
from impasto.stylizers.arbitrary import Arbitrary
from impasto.stylizers.protocol import Mix, Style
from impasto.weights.card import save

MOST_LEVELS = 2
FAKE_CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
SOFTWARE_GPU = ("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan")

PIXELS = """(async () => {
  await impasto.ready;
  const canvas = document.getElementById("view");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let text = ""; for (const value of data) text += String.fromCharCode(value);
  return [canvas.width, canvas.height, btoa(text)];
})()"""

NO_STRENGTH = """(() => {
  const slider = document.getElementById("strength");
  slider.value = 0;
  slider.dispatchEvent(new Event("input"));
})()"""


@pytest.fixture(scope="module")
def runtime() -> None:
    """The runtime is in the cache folder, or can be fetched."""
    try:
        runtime_files(WASM)
        runtime_files(WEBGPU)
    except DownloadFailed as error:
        if REQUIRED:
            raise
        pytest.skip(f"onnxruntime-web is not in the cache folder and cannot be fetched: {error}")


def shown(page: Page) -> torch.Tensor:
    """What the canvas shows, `(1, 3, h, w)` in levels of 255."""
    width, height, text = page.evaluate(PIXELS)
    levels = np.frombuffer(base64.b64decode(text), np.uint8).reshape(height, width, 4)[..., :3]
    return torch.from_numpy(levels.astype(np.float32)).permute(2, 0, 1)[None]


def apart(page: Page, network: fast.FastNetwork, content: torch.Tensor) -> float:
    """The largest difference between what the page shows and what torch paints, in levels."""
    return float((shown(page) - network.painter.painted(content) * 255).abs().max())


def saved(pixels: torch.Tensor, path: Path) -> torch.Tensor:
    """The picture as its PNG file has it."""
    files.write(path, pixels)
    return files.read(path).pixels


def opened(page: Page, page_file: Path, more: str = "") -> None:
    """The page, ready, at a size that leaves the pictures of these tests as they are."""
    page.open(f"{page_file.as_uri()}#size=128{more}")
    page.evaluate("impasto.ready")


def chosen(page: Page, index: int) -> None:
    """Paint the photo in a style."""
    page.evaluate(f"impasto.choose({index})")
    page.wait("!impasto.state.painting && !impasto.state.wanted", timeout_s=120)


@needs_chromium
def test_the_page_paints_from_a_file(
    runtime: None, save_learned: Callable[..., Path], photo: torch.Tensor, tmp_path: Path
) -> None:
    styles = save_learned(tmp_path / "two.safetensors", styles=("one", "two"))
    other = save_learned(tmp_path / "other.safetensors", seed=2)
    page_file, picture = tmp_path / "page.html", tmp_path / "photo.png"
    names = (f"{styles}#one", f"{styles}#two", str(other))
    info = write_browser_page(page_file, BrowserOptions(style=names, webgpu=False))
    assert info.styles == ("one", "two", "other")
    assert page_file.read_text().count('id="painter-') == 2  # styles of the same convolutions share one
    content = saved(photo, picture)
    two = fast.load_fast_network(styles, precision="float32")
    networks = [two.of({"one": 1.0}), two.of({"two": 1.0}), fast.load_fast_network(other, precision="float32")]
    with chromium("--disable-gpu") as browser:
        page = browser.page()
        opened(page, page_file)
        page.choose_files("#file", picture)
        page.wait("impasto.state.photo.height === 72 && !impasto.state.painting")
        for index, network in enumerate(networks):
            chosen(page, index)
            assert apart(page, network, content) <= MOST_LEVELS
        page.evaluate(NO_STRENGTH)
        assert (shown(page) - content * 255).abs().max() <= 1
        assert "WebAssembly · 80 × 72 px" in page.evaluate("document.getElementById('status').textContent")
        assert not [address for address in page.requests if address.startswith("http")]
        assert page.errors == []


@needs_chromium
def test_the_camera_is_painted_until_it_is_stopped(
    runtime: None, save_learned: Callable[..., Path], tmp_path: Path
) -> None:
    page_file = tmp_path / "page.html"
    write_browser_page(
        page_file, BrowserOptions(style=(str(save_learned(tmp_path / "one.safetensors")),), webgpu=False)
    )
    with chromium("--disable-gpu", *FAKE_CAMERA) as browser:
        page = browser.page()
        opened(page, page_file)
        page.click("#camera")
        page.wait("document.getElementById('status').textContent.includes('frames a second')")
        page.evaluate("globalThis.first = impasto.state.photo.data.slice()")
        page.wait("impasto.state.photo.data.some((level, i) => Math.abs(level - first[i]) > 20)")  # it shows a clock
        page.click("#camera")
        page.wait("impasto.state.camera === null && !impasto.state.painting")
        assert page.evaluate("document.getElementById('camera').textContent") == "Camera"
        chosen(page, 0)  # the last frame stays as the photo
        assert page.evaluate("impasto.state.photo.width") == 256
        assert page.errors == []


@needs_chromium
@pytest.mark.parametrize("bundled", [False, True])
def test_a_picture_becomes_a_style_of_the_page(
    runtime: None,
    there: Path,
    save_network: Callable[..., Path],
    photo: torch.Tensor,
    tmp_path: Path,
    bundled: bool,
) -> None:
    page_file, picture = tmp_path / "page.html", tmp_path / "photo.png"
    content, style = saved(photo, picture), saved(photo.flip(1)[..., :64, :64], there / "style.png")
    options = BrowserOptions(style=(str(there / "style.png"),), any=True, webgpu=False, style_px=64)
    if not bundled:
        untrained = save_network(there / "net.safetensors", encoder=there / "tiny.safetensors", variant="predicted")
        options = dataclasses.replace(options, network=str(untrained))
    write_browser_page(page_file, options)
    network = table.load_network(options.network, precision="float32")
    stylizer = Arbitrary(network)
    *_, step = stylizer.paint(content, stylizer.prepare(Mix((Style(style),))))
    with chromium("--disable-gpu") as browser:
        page = browser.page()
        opened(page, page_file)
        page.choose_files("#file", picture)
        page.wait("impasto.state.photo.height === 72 && !impasto.state.painting")
        assert (shown(page) - step.picture() * 255).abs().max() <= MOST_LEVELS  # made a style at the export
        page.choose_files("#style-file", there / "style.png")
        page.wait("impasto.page.styles.length === 2 && !impasto.state.painting && !impasto.state.wanted")
        assert (shown(page) - step.picture() * 255).abs().max() <= MOST_LEVELS  # and in the page
        assert page.errors == []


@needs_chromium
@pytest.mark.parametrize("every_part", [False, True])
def test_it_paints_by_webgpu_or_as_if(
    runtime: None,
    save_learned: Callable[..., Path],
    a_network: Callable[..., fast.FastNetwork],
    photo: torch.Tensor,
    tmp_path: Path,
    every_part: bool,
) -> None:
    """An engine that computes something else is not used: the picture is right, and the status names its engine."""
    style, picture = tmp_path / "one.safetensors", tmp_path / "photo.png"
    if every_part:
        untrained = a_network("ours")
        save(style, untrained.net.state_dict(), card=untrained.card)
    else:
        style = save_learned(style)
    page_file = tmp_path / "page.html"
    write_browser_page(page_file, BrowserOptions(style=(str(style),)))
    content = saved(photo[..., :64, :64], picture)
    with chromium(*SOFTWARE_GPU) as browser:
        page = browser.page()
        page.open(f"{page_file.as_uri()}#size=64")
        page.evaluate("impasto.ready")
        engine = {"webgpu": "WebGPU", "wasm": "WebAssembly"}[page.evaluate("impasto.state.engine")]
        page.choose_files("#file", picture)
        page.wait("impasto.state.photo.height === 64 && !impasto.state.painting")
        assert f"{engine} · 64 × 64 px" in page.evaluate("document.getElementById('status').textContent")
        assert apart(page, fast.load_fast_network(style, precision="float32"), content) <= MOST_LEVELS
        if engine == "WebAssembly" and not every_part:
            pytest.skip("this Chromium has no WebGPU, not even in software")


@needs_chromium
def test_a_gpu_that_paints_something_else_is_not_used(
    runtime: None, save_learned: Callable[..., Path], photo: torch.Tensor, tmp_path: Path
) -> None:
    style, page_file, picture = save_learned(tmp_path / "one.safetensors"), tmp_path / "page.html", tmp_path / "p.png"
    write_browser_page(page_file, BrowserOptions(style=(str(style),)))
    text, allowed = page_file.read_text(), "const MOST_LEVELS = 4;"
    assert text.count(allowed) == 1
    page_file.write_text(text.replace(allowed, "const MOST_LEVELS = -1;"))  # every difference is too large
    content = saved(photo[..., :64, :64], picture)
    with chromium(*SOFTWARE_GPU) as browser:
        page = browser.page()
        page.open(f"{page_file.as_uri()}#size=64")
        page.evaluate("impasto.ready")
        assert page.evaluate("impasto.state.engine") == "wasm"
        if not page.evaluate("navigator.gpu?.requestAdapter().then((adapter) => Boolean(adapter))"):
            pytest.skip("this Chromium has no WebGPU, not even in software")
        page.choose_files("#file", picture)
        page.wait("impasto.state.photo.height === 64 && !impasto.state.painting")
        assert "WebAssembly · 64 × 64 px" in page.evaluate("document.getElementById('status').textContent")
        assert apart(page, fast.load_fast_network(style, precision="float32"), content) <= MOST_LEVELS


def test_a_page_is_html(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"does not end in \.html"):
        write_browser_page(tmp_path / "page.pdf", BrowserOptions())
