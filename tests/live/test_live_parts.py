"""The parts of the live view, each by itself."""

from __future__ import annotations

import sys
import threading
import time
import types
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clips import panned, seen

from impasto.core.errors import ImpastoError, MissingExtra, OptionError, VideoUnreadable, VideoUnwritable
from impasto.flow.estimators import opencv
from impasto.live import capture, screens
from impasto.live.capture import Camera, Levels, source_named
from impasto.live.controls import KEYS, Controls
from impasto.live.enlarging import enlarged_along
from impasto.live.figures import Figures, lettered
from impasto.live.page import Page
from impasto.live.recorder import Recorder
from impasto.live.slot import Closed, Slot
from impasto.live.virtual_camera import VirtualCamera
from impasto.video.parts import Parts

cv2: Any = opencv()


def resized(levels: Levels, width: int, height: int) -> Levels:
    made: Levels = cv2.resize(levels, (width, height), interpolation=cv2.INTER_AREA)
    return made


FRAME = panned(1, size_hw=(180, 320))[0]


# The slot


def test_a_newer_item_replaces_one_that_nobody_took() -> None:
    slot = Slot[int]()
    for number in range(5):
        slot.put(number)
    assert slot.dropped == 4
    assert slot.take() == 4
    assert slot.take(0.01) is None


def test_the_last_item_is_taken_before_the_end() -> None:
    slot = Slot[int]()
    slot.put(7)
    slot.close()
    assert slot.take() == 7
    with pytest.raises(Closed):
        slot.take()
    broken = Slot[int]()
    broken.close(VideoUnreadable("gone"))
    broken.close()
    with pytest.raises(VideoUnreadable, match="gone"):
        broken.take()


def test_taking_waits_for_another_thread() -> None:
    slot = Slot[str]()
    threading.Timer(0.05, slot.put, ["late"]).start()
    assert slot.take(5) == "late"


# Keys


def test_each_key_has_an_effect() -> None:
    begun = Controls(3, blend=0.5)
    for key in KEYS:
        assert begun.pressed(key) != begun, key
    assert begun.pressed("x") == begun == begun.pressed("") == begun.pressed("é")
    assert begun.pressed("N") == begun.pressed("n")
    assert begun.pressed("=") == begun.pressed("+")
    for key in "mfvri":
        assert begun.pressed(key).pressed(key) == begun


def test_blending_leads_around_through_all_styles() -> None:
    state = Controls(3)
    found = []
    for _ in range(30):
        state = state.pressed("]")
        assert sum(state.weights) == pytest.approx(1)
        assert all(weight >= 0 for weight in state.weights)
        found.append(state.style)
    assert state == Controls(3)
    assert set(found) == {0, 1, 2}
    assert state.pressed("[").pressed("]") == state
    assert Controls(1).pressed("]").weights == pytest.approx((1.0,))
    assert state.pressed("p").weights == (0, 0, 1)


def test_strength_has_an_end_on_both_sides() -> None:
    state = Controls(1)
    for _ in range(50):
        state = state.pressed("-")
    assert state.strength == 0
    for _ in range(50):
        state = state.pressed("+")
    assert state.strength == 3


# Enlarging


def test_a_painting_that_is_the_source_comes_back_as_the_source() -> None:
    small = resized(FRAME, 80, 45)
    found = enlarged_along(small, small, frame=FRAME)
    plain = cv2.resize(small, (320, 180), interpolation=cv2.INTER_CUBIC)
    errors = [np.abs(image.astype(float) - FRAME).mean() for image in (found, plain)]
    assert errors[0] < 0.55 * errors[1]


def test_the_sources_edges_appear_in_other_colours_and_contrasts() -> None:
    small = resized(FRAME, 80, 45)
    for painted in (lambda image: 255 - image, lambda image: (0.5 * image + 60).astype(np.uint8)):
        found = enlarged_along(painted(small), small, frame=FRAME)
        plain = cv2.resize(painted(small), (320, 180), interpolation=cv2.INTER_CUBIC)
        errors = [np.abs(image.astype(float) - painted(FRAME)).mean() for image in (found, plain)]
        assert errors[0] < 0.6 * errors[1]


def test_strokes_without_detail_in_the_source_are_only_enlarged() -> None:
    flat = np.full((180, 320, 3), 90, np.uint8)
    strokes = np.random.default_rng(0).integers(0, 256, (45, 80, 3), dtype=np.uint8)
    found = enlarged_along(strokes, resized(flat, 80, 45), frame=flat)
    assert np.array_equal(found, cv2.resize(strokes, (320, 180), interpolation=cv2.INTER_CUBIC))


# Sources


class FakeCamera:
    """Gives `count` frames, in OpenCV's order of colours, and then none."""

    count = 3

    def __init__(self, device: int | str) -> None:
        self.left, self.released = (0 if device == 9 else self.count), False

    def isOpened(self) -> bool:
        return self.left > 0

    def set(self, *_: Any) -> bool:
        return True

    def read(self) -> tuple[bool, Levels | None]:
        self.left -= 1
        frame = np.full((48, 64, 3), (90, 30, 200), np.uint8)
        return (True, frame) if self.left >= 0 else (False, None)

    def release(self) -> None:
        self.released = True


def test_a_camera_that_is_unplugged_ends_with_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "VideoCapture", FakeCamera)
    monkeypatch.setattr(capture, "RETRY_S", 0.001)
    camera = source_named("0")
    assert isinstance(camera, Camera)
    assert camera.size_hw == (48, 64)
    found = []
    with pytest.raises(VideoUnreadable, match="camera 0 delivers no more frames; was it unplugged"):
        found.extend(camera.frames(threading.Event()))
    assert len(found) == 2
    assert found[0].open()[0, 0].tolist() == [200, 30, 90]
    assert found[1].at_s >= found[0].at_s
    assert camera._camera.released


def test_a_missing_camera_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "VideoCapture", FakeCamera)
    with pytest.raises(VideoUnreadable, match="camera 9 cannot be opened: it does not exist, or another program"):
        source_named("9")
    monkeypatch.setattr(FakeCamera, "isOpened", lambda self: True)
    with pytest.raises(VideoUnreadable, match="camera 9 delivers no frames"):
        source_named("9")
    with pytest.raises(VideoUnreadable, match=r"none\.mp4 does not exist"):
        source_named("none.mp4")


# Windows


def test_without_a_display_there_is_no_window(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    if sys.platform != "linux":
        pytest.skip("elsewhere a window needs no DISPLAY")
    assert screens.open_screen("none") is None
    assert screens.open_screen("auto") is None or "GUI:                           NONE" not in cv2.getBuildInformation()
    with pytest.raises(OptionError, match="Tk"):
        screens.open_screen("tk")


class FakeWindows:
    """OpenCV's windows: `keys` are pressed, then the window is closed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.keys, self.shown = list("n+"), list[Levels]()
        functions = {
            "namedWindow": lambda *_: None,
            "imshow": lambda _, image: self.shown.append(image),
            "waitKey": lambda _: ord(self.keys.pop(0)) if self.keys else -1,
            "getWindowProperty": lambda *_: 1.0 if self.keys else 0.0,
            "destroyWindow": lambda _: self.shown.clear(),
        }
        for name, function in functions.items():
            monkeypatch.setattr(cv2, name, function)


def test_a_window_of_opencv_gives_keys_and_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeWindows(monkeypatch)
    screen = screens.open_screen("auto")
    assert isinstance(screen, screens.OpenCVScreen)
    assert screen.show(np.full((4, 4, 3), (200, 30, 90), np.uint8)) == "n"
    assert fake.shown[0][0, 0].tolist() == [90, 30, 200]
    assert screen.show(None) == "q"  # the last key, and the window is closed
    assert len(fake.shown) == 1
    screen.close()
    assert not fake.shown


# The page


@pytest.fixture
def page() -> Any:
    made = Page(0)
    yield made
    made.close()


def answer(page: Page, path: str, **options: Any) -> tuple[int, bytes]:
    request = urllib.request.Request(page.address.rstrip("/") + path, **options)
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, response.read(4096)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code, b""


def test_the_page_streams_the_newest_picture(page: Page) -> None:
    status, body = answer(page, "/")
    assert (status, b"/stream.mjpg" in body) == (200, True)
    page.add(np.zeros((16, 16, 3), np.uint8))
    red = np.full((16, 16, 3), (200, 30, 90), np.uint8)
    with urllib.request.urlopen(page.address + "stream.mjpg", timeout=10) as response:
        assert response.headers["content-type"] == "multipart/x-mixed-replace; boundary=frame"
        for _ in range(2):  # the picture that was there before, and the new one
            assert response.readline() == b"--frame\r\n"
            length = int([response.readline(), response.readline(), response.readline()][1].split()[1])
            jpeg = response.read(length)
            response.readline()
            until = time.monotonic() + 5
            while page._clients == 0 and time.monotonic() < until:
                time.sleep(0.01)
            page.add(red)
    decoded = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert np.abs(decoded.astype(int) - red).max() <= 6


def test_keys_come_from_the_page_and_from_nowhere_else(page: Page) -> None:
    assert answer(page, "/key", data=b"n")[0] == 200
    assert answer(page, "/key", data=b"]")[0] == 200
    assert page.keys() == "n]"
    own = page.address.rstrip("/")
    assert answer(page, "/key", data=b"m", headers={"Origin": own})[0] == 200
    assert page.keys() == "m"
    for data, headers, status in (
        (b"q", {}, 400),
        (b"x", {}, 400),
        (b"n" * 99, {}, 400),
        (b"n", {"Origin": "http://evil.example"}, 403),
        (b"n", {"Host": "evil.example"}, 403),
    ):
        assert answer(page, "/key", data=data, headers=headers)[0] == status
    assert page.keys() == ""
    assert answer(page, "/", headers={"Host": "evil.example:80"})[0] == 421
    assert answer(page, "/other")[0] == 404


def test_a_port_in_use_is_told(page: Page) -> None:
    with pytest.raises(OptionError, match="cannot be used"):
        Page(int(page.address.rstrip("/").rpartition(":")[2]))


# Recording


def test_a_recording_has_the_times_of_the_view(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "a.mp4", (45, 64))
    times = [10.0, 10.04, 10.2, 10.201, 10.201]
    for shade, at_s in enumerate(times):
        recorder.add(np.full((45, 64, 3), 50 * shade, np.uint8), at_s)
        time.sleep(0.05)
    assert recorder.close() + recorder.dropped == 5
    frames, found = seen(tmp_path / "a.mp4")
    assert [round(float(t), 3) for t in found] == [0.0, 0.04, 0.2, 0.201, 0.202]
    assert frames[0].shape == (44, 64, 3)
    assert abs(int(frames[2].mean()) - 100) <= 3
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_a_full_disk_keeps_what_was_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add = Parts.add

    def full(self: Parts, frame: Any, **options: Any) -> None:
        self.part_frames = 2
        if len(self.done) == 2:
            raise VideoUnwritable("no space left")
        add(self, frame, **options)

    monkeypatch.setattr(Parts, "add", full)
    recorder = Recorder(tmp_path / "a.mp4", (48, 64))
    with pytest.raises(VideoUnwritable, match="no space left"):  # noqa: PT012
        for number in range(100):
            recorder.add(np.zeros((48, 64, 3), np.uint8), number / 25)
            time.sleep(0.02)
    with pytest.raises(VideoUnwritable, match="no space left"):
        recorder.close()
    assert len(seen(tmp_path / "a.mp4")[0]) == 4


def test_a_recording_without_frames_leaves_no_file(tmp_path: Path) -> None:
    assert Recorder(tmp_path / "a.mp4", (48, 64)).close() == 0
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ImpastoError, match="ending of a film"):
        Recorder(tmp_path / "a.avi", (48, 64))


# The virtual camera


def test_a_virtual_camera_takes_every_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Levels] = []

    class Made:
        def __init__(self, **options: Any) -> None:
            if options["width"] == 1:
                raise RuntimeError("no device\nfound")
            self.options, self.device = options, "/dev/video7"

        def send(self, levels: Levels) -> None:
            sent.append(levels)

        def close(self) -> None:
            sent.append(np.zeros(0, np.uint8))

    monkeypatch.setitem(sys.modules, "pyvirtualcam", types.SimpleNamespace(Camera=Made))
    camera = VirtualCamera((48, 64))
    camera.add(FRAME)
    camera.close()
    assert camera.device == "/dev/video7"
    assert [item.shape for item in sent] == [FRAME.shape, (0,)]
    with pytest.raises(VideoUnwritable, match="no virtual camera \\(no device found\\)"):
        VirtualCamera((1, 1))
    monkeypatch.setitem(sys.modules, "pyvirtualcam", None)
    with pytest.raises(MissingExtra, match=r"impasto\[virtual-camera\]"):
        VirtualCamera((48, 64))


# Figures


def test_the_report_counts_what_was_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    figures = Figures()
    for index in range(101):
        now[0] = 100 + index / 25
        figures.shown(None if index == 50 else now[0] - index / 1000)
    report = figures.report(dropped=3)
    assert (report.frames, report.dropped) == (101, 3)
    assert report.fps == pytest.approx(25)
    assert report.latency_ms_median == pytest.approx(50, abs=1)
    assert report.latency_ms_p99 == pytest.approx(99, abs=1)
    line = figures.line(Controls(2, blend=0.3, frozen=True), ["wave", "star"])
    assert line == "25 fps   100 ms   wave 70% > star 30%   strength 1   frozen"
    empty = Figures().report(dropped=0)
    assert (empty.frames, empty.fps, empty.latency_ms_p99) == (0, 0, 0)


def test_the_line_is_written_on_a_copy() -> None:
    before = FRAME.copy()
    made = lettered(FRAME, "25 fps")
    assert np.array_equal(FRAME, before)
    assert np.array_equal(made[40:], FRAME[40:])
    assert made[:16].max() > 200 > made[:16].mean()
