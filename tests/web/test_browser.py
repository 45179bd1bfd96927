"""The page in a real browser: by mouse, keyboard and touch."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import pytest
from browser import Browser, Page, chromium, needs_chromium
from PIL import Image

pytestmark = needs_chromium

STATUS = "document.querySelector('#status').textContent"
HISTORY = "document.querySelectorAll('#history button').length"


class Visit:
    """An open page of the studio, and what was asked of the studio since."""

    def __init__(self, page: Page, studio: httpx.Client) -> None:
        self.page, self._studio = page, studio
        self._before = page.evaluate(HISTORY)  # paintings of other tests are in the history, too

    def opened(self, file: Path) -> None:
        """Choose a photo or clip, and wait until it was painted."""
        self.page.choose_files("#file", file)
        self.added(1)

    def added(self, count: int) -> None:
        """Wait until the history has so many paintings more than when the page was opened."""
        self.page.wait(f"{HISTORY} >= {self._before + count}", timeout_s=240)

    def jobs(self, **values: Any) -> list[dict[str, Any]]:
        """The jobs of the studio with these values, oldest first."""
        rows: list[dict[str, Any]] = self._studio.get("/api/jobs").json()["jobs"]
        return [row for row in rows if values.items() <= row.items()]

    def asked(self) -> dict[str, Any]:
        """The request of the last painting that is not a draft."""
        request: dict[str, Any] = self.jobs(kind="paint", draft=False)[-1]["request"]
        return request


@pytest.fixture(scope="module")
def studio(running: Callable[..., Any]) -> Iterator[httpx.Client]:
    with running(client_jobs=40, queue=60) as client:
        yield client


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def visit(studio: httpx.Client, browser: Browser, token: str) -> Iterator[Callable[..., Visit]]:
    pages = []

    def opened(**viewport: Any) -> Visit:
        page = browser.page(**viewport)
        pages.append(page)
        page.open(f"{studio.base_url}/#{token}")
        page.wait("document.body.dataset.ready", timeout_s=240)
        page.evaluate("document.querySelector('#size').value = 256")
        return Visit(page, studio)

    yield opened
    for page in pages:
        browser.close(page)


@pytest.fixture
def photo_file(tmp_path: Path) -> Path:
    y, x = np.mgrid[0:60, 0:80]
    pixels = np.stack([x * 3, y * 4, 255 - x * 2], axis=-1).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


@pytest.fixture
def painting_file(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(3).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize((128, 96)).save(tmp_path / "My painting.png")
    return tmp_path / "My painting.png"


@pytest.fixture
def clip_file(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for i in range(8):
            pixels = np.full((64, 96, 3), 30 * i, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return path


def test_the_page_offers_styles_and_every_option(visit: Callable[..., Visit], token: str) -> None:
    page = visit().page
    assert page.evaluate("document.querySelector('[data-key=wave]').getAttribute('aria-pressed')") == "true"
    assert page.evaluate("[...document.querySelectorAll('#all label')].some((l) => l.textContent == 'alpha')")
    assert page.evaluate("getComputedStyle(document.body).display") == "flex"  # the policy allows its style sheet
    assert token not in page.evaluate("document.documentElement.outerHTML + location.href")
    own = page.evaluate("location.origin")
    assert [url for url in page.requests if not url.removeprefix("blob:").startswith((own, "about:"))] == []
    assert page.errors == []


def test_the_tiles_of_a_long_wall_do_not_overlap(visit: Callable[..., Visit]) -> None:
    page = visit().page
    page.evaluate("for (let i = 0; i < 30; i++) wall.append(wall.lastChild.cloneNode(true))")
    boxes = "[...wall.children].map((tile) => tile.getBoundingClientRect())"
    rows = page.evaluate(f"[...new Set({boxes}.map((box) => box.top))]")
    height = page.evaluate(f"{boxes}[0].height")
    assert min(lower - upper for upper, lower in itertools.pairwise(rows)) >= height > 40


def test_everything_has_a_name_for_a_screen_reader(visit: Callable[..., Visit]) -> None:
    page = visit().page
    page.evaluate("document.querySelector('#more').open = true")
    roles = {"button", "textbox", "slider", "checkbox", "combobox", "radio", "spinbutton", "link", "image", "img"}
    found = [node for node in page.accessible() if node["role"] in roles]
    assert len(found) > 40
    assert [node for node in found if not node["name"].strip()] == []
    names = page.evaluate("[...document.querySelectorAll('section[aria-labelledby], dialog')].length")
    assert names >= 5


def test_a_photo_is_painted_and_every_step_can_be_taken_back(
    visit: Callable[..., Visit], studio: httpx.Client, photo_file: Path
) -> None:
    here = visit()
    page = here.page
    here.opened(photo_file)
    page.evaluate("document.querySelector('#strength').focus()")
    page.press("ArrowLeft")  # a change by keyboard is one of the slider: a draft, then the painting
    here.added(2)
    assert here.asked()["paint"]["strength"] == pytest.approx(0.95)
    draft = here.jobs(draft=True)[-1]
    assert studio.get(f"/api/jobs/{draft['id']}/result").status_code == 404
    page.evaluate("document.body.focus()")
    page.press("z", modifiers=["Control"])
    page.wait("document.querySelector('#strength').value == 1")
    assert page.errors == []


def test_before_and_after_by_mouse_keyboard_and_touch(visit: Callable[..., Visit], photo_file: Path) -> None:
    here = visit(touch=True, width=360, height=740)
    page = here.page
    here.opened(photo_file)
    page.tap("#viewer")
    page.wait("document.querySelector('#viewer.original')")
    page.evaluate("document.querySelector('#viewer').focus()")
    page.press(" ")
    assert page.evaluate("document.querySelector('#viewer.original') === null")
    x, y = page.place("#viewer")
    page.touch([(x - 20, y), (x - 60, y)], [(x + 20, y), (x + 60, y)])
    zoomed = "document.querySelector('#viewer').classList.contains('zoomed')"
    assert page.wait(zoomed)
    page.press("0")
    assert page.evaluate(zoomed) is False
    page.tap("input[value=slide]")
    before = page.evaluate("document.querySelector('#viewer').style.getPropertyValue('--cut')")
    page.touch([(x, y), (x + 30, y), (x + 60, y)])
    assert page.evaluate("document.querySelector('#viewer').style.getPropertyValue('--cut')") != before
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_two_styles_are_mixed_and_brushed_where_they_belong(visit: Callable[..., Visit], photo_file: Path) -> None:
    here = visit()
    page = here.page
    here.opened(photo_file)
    page.click("[data-key=scream]", modifiers=["Shift"])
    page.wait("document.querySelectorAll('#chosen input').length == 2")
    here.added(2)
    assert {style["name"] for style in here.asked()["styles"]} == {"wave", "scream"}
    page.click("#masked")
    page.wait("document.querySelectorAll('#regions input').length == 2")
    x, y = page.place("#viewer")
    page.drag((x - 90, y), (x - 60, y + 20), (x - 30, y))
    here.added(3)
    assert ["mask" in style for style in here.asked()["styles"]] == [True, True]  # the other one has the rest
    page.click("#undo")
    here.added(4)
    assert ["mask" in style for style in here.asked()["styles"]] == [False, False]
    assert page.errors == []


def test_a_finished_picture_brings_its_settings_and_its_photo_back(
    visit: Callable[..., Visit], studio: httpx.Client, photo_file: Path, painting_file: Path, tmp_path: Path
) -> None:
    here = visit()
    page = here.page
    here.opened(photo_file)
    page.choose_files("#style-file", painting_file)
    here.added(2)
    page.evaluate("document.querySelector('#strength').value = 0.4")
    page.evaluate("document.querySelector('#strength').onchange()")
    here.added(3)
    asked, id = here.asked(), here.jobs(kind="paint", draft=False)[-1]["id"]
    (tmp_path / "result.png").write_bytes(studio.get(f"/api/jobs/{id}/result").content)
    page.evaluate("sessionStorage.removeItem('impasto-content')")
    page = visit().page
    page.choose_files("#file", tmp_path / "result.png")
    page.wait(f"{STATUS}.includes('settings')", timeout_s=120)
    assert page.evaluate("document.querySelector('#strength').value") == "0.4"
    picture = page.evaluate("JSON.parse(sessionStorage.getItem('impasto-content')).id")
    assert picture == asked["content"]
    assert page.evaluate("document.querySelector('[aria-pressed=true][data-key]').dataset.key") == (
        f"own:{asked['styles'][0]['picture']}"
    )


def test_a_reload_finds_the_running_job(visit: Callable[..., Visit], photo_file: Path, painting_file: Path) -> None:
    here = visit()
    page = here.page
    here.opened(photo_file)
    page.choose_files("#style-file", painting_file)
    here.added(2)
    page.wait("!document.querySelector('#refine').hidden")
    page.evaluate("const e = document.querySelector('[name=\"optimise.steps\"]'); e.value = 4000; e.onchange()")
    here.added(3)
    page.click("#refine")
    page.wait("!document.querySelector('#cancel').hidden", timeout_s=240)
    page.send("Page.reload")
    page.wait("!document.querySelector('#cancel').hidden && document.querySelectorAll('#history button').length >= 2")
    page.wait("document.querySelector('#after').src.startsWith('blob:')")
    page.click("#cancel")
    page.wait(f"{STATUS}.startsWith('Stopped')", timeout_s=120)
    assert page.errors == []


def test_a_clip_is_tried_on_three_frames_and_played_beside_its_painting(
    visit: Callable[..., Visit], clip_file: Path
) -> None:
    here = visit()
    page = here.page
    here.opened(clip_file)
    assert page.evaluate("document.querySelectorAll('#frames button').length") == 3
    page.click("#paint-film")
    page.wait("!document.querySelector('#after-film').hidden", timeout_s=240)
    page.wait("['#before-film', '#after-film'].every((s) => document.querySelector(s).readyState >= 2)")
    lengths = page.evaluate("['#before-film', '#after-film'].map((s) => document.querySelector(s).duration)")
    assert lengths == pytest.approx([0.8, 0.8], abs=0.05)
    assert page.evaluate("document.querySelector('#queue').hidden")
    assert [job["state"] for job in here.jobs(kind="film")] == ["done"]
    assert page.errors == []
