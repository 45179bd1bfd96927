"""The live view: capture, painting and display in parallel, controlled by keys."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from impasto.flow.estimators import opencv
from impasto.image import files
from impasto.image.pixels import from_bytes
from impasto.image.resize import SizeHW
from impasto.live.capture import Captured, Levels, Source, start_capture
from impasto.live.controls import Controls
from impasto.live.figures import Figures, Report, lettered
from impasto.live.page import Page
from impasto.live.painter import LivePainter
from impasto.live.recorder import Recorder
from impasto.live.screens import Screen
from impasto.live.slot import Closed, Slot
from impasto.live.virtual_camera import VirtualCamera
from impasto.session.device import with_threads

POLL_S = 0.03  # interval of polling keys while no frame arrives


@dataclass(frozen=True, eq=False)
class PaintedView:
    """A frame with its small painting, which may not be finished; `captured_s` is None for a frozen frame."""

    frame: Levels
    small: Levels
    painting: Future[Tensor]
    captured_s: float | None


@dataclass
class View:
    """Paints `source` at `size_hw` until it ends, a key quits, or `stopping` is true.

    Frames that arrive while another is painted are dropped, never queued. `names` are the styles' names; `on_note` is
    called with lines for the user. Snapshots and recordings by key are written to `folder`.
    """

    source: Source
    painter: LivePainter
    size_hw: SizeHW
    controls: Controls
    names: Sequence[str]
    folder: Path
    screen: Screen | None = None
    page: Page | None = None
    camera: VirtualCamera | None = None
    record: Path | None = None
    on_note: Callable[[str], None] = lambda note: None
    _recorder: Recorder | None = None
    _snapshots: int = 0

    def run(self, stopping: Callable[[], bool] = lambda: False) -> Report:
        """Run the view to its end. Raises what capture, painting and recording raise; a recording stays playable."""
        figures, end = Figures(), threading.Event()
        captured, painted = Slot[Captured](), Slot[PaintedView]()
        threads = [start_capture(self.source, captured, stopping=end), self._start_painting(captured, painted)]
        try:
            while not self.controls.stopped and not stopping():
                item = painted.take(POLL_S)
                if item is not None:
                    self._show(item, figures)
                self._follow_keys()
        except Closed:
            pass
        finally:
            end.set()
            captured.close()
            for thread in threads:
                thread.join()
            self._close()
        return figures.report(dropped=captured.dropped + painted.dropped)

    def _start_painting(self, captured: Slot[Captured], painted: Slot[PaintedView]) -> threading.Thread:
        def work() -> None:
            error: BaseException | None = None
            try:
                with with_threads(painting_threads()):
                    self._paint_all(captured, painted)
            except Closed:
                pass
            except BaseException as caught:
                error = caught
            painted.close(error)

        thread = threading.Thread(target=work, daemon=True, name="painting")
        thread.start()
        return thread

    def _paint_all(self, captured: Slot[Captured], painted: Slot[PaintedView]) -> None:
        """Paint each frame that is taken from the slot; while frozen, the last one again."""
        frame: Levels | None = None
        while not self.controls.stopped:
            item = captured.take()
            assert item is not None
            controls = self.controls
            frozen = controls.frozen and frame is not None
            if not frozen:
                frame = self._sized(item.open())
            assert frame is not None
            seen = np.ascontiguousarray(frame[:, ::-1]) if controls.mirror else frame
            small = self.painter.reduced(seen)
            painting = self.painter.paint(small, controls, at_s=item.at_s)
            painted.put(PaintedView(seen, small, painting, None if frozen else item.at_s))

    def _sized(self, frame: Levels) -> Levels:
        cv2: Any = opencv()
        height, width = self.size_hw
        same = frame.shape[:2] == (height, width)
        made: Levels = frame if same else cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)
        return made

    def _show(self, item: PaintedView, figures: Figures) -> None:
        picture = self.painter.enlarged(item.painting.result(), item.small, frame=item.frame)
        if self.controls.split:
            middle = picture.shape[1] // 2
            picture[:, :middle] = item.frame[:, :middle]
        if self.page is not None:
            self.page.add(picture)
        if self.camera is not None:
            self.camera.add(picture)
        self._record(picture)
        self._keep_snapshots(picture)
        if self.screen is not None:
            line = figures.line(self.controls, self.names)
            self._press(self.screen.show(lettered(picture, line) if self.controls.figures else picture))
        figures.shown(item.captured_s)

    def _follow_keys(self) -> None:
        if self.screen is not None:
            self._press(self.screen.show(None))
        if self.page is not None:
            self._press(self.page.keys())

    def _press(self, keys: str) -> None:
        for key in keys:
            self.controls = self.controls.pressed(key)

    def _record(self, picture: Levels) -> None:
        """Start, continue or end the recording, according to the controls."""
        if self.controls.recording and self._recorder is None:
            path = self.record or _free(self.folder, "recording", suffix=".mp4")
            self.record = None  # the next recording is another file
            self._recorder = Recorder(path, self.size_hw)
        if self._recorder is not None and not self.controls.recording:
            self._end_recording()
        if self._recorder is not None:
            self._recorder.add(picture.copy(), time.monotonic())

    def _end_recording(self) -> None:
        recorder, self._recorder = self._recorder, None
        if recorder is not None:
            frames = recorder.close()
            left_out = f", {recorder.dropped} dropped" if recorder.dropped else ""
            self.on_note(f"{recorder.path} has {frames} frames{left_out}")

    def _keep_snapshots(self, picture: Levels) -> None:
        while self._snapshots < self.controls.snapshots:
            self._snapshots += 1
            path = _free(self.folder, "snapshot", suffix=".png")
            files.write(path, from_bytes(picture))
            self.on_note(f"snapshot: {path}")

    def _close(self) -> None:
        try:
            self._end_recording()
        finally:
            for part in (self.screen, self.page, self.camera):
                if part is not None:
                    part.close()


def painting_threads() -> int:
    """Torch's threads for the network: all but one, which motion, steadying and upsampling need together.

    Two threads on two cores wait for each other whenever another stage runs on one of the cores.
    """
    return max(1, torch.get_num_threads() - 1)


def _free(folder: Path, name: str, *, suffix: str) -> Path:
    """`NAME-1SUFFIX` in the folder, or the first unused number."""
    number = 1
    while (path := folder / f"{name}-{number}{suffix}").exists():
        number += 1
    return path
