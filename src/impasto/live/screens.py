"""Windows: OpenCV's if it was built with one, otherwise Tk's."""

from __future__ import annotations

import contextlib
from typing import Any, Protocol

from PIL import Image

from impasto.core.errors import OptionError
from impasto.flow.estimators import opencv
from impasto.live.capture import Levels

TITLE = "impasto"
WITHOUT = "Use `screen=none` with `serve`, `record` or `virtual_camera`."


class Screen(Protocol):
    """A window that shows pictures."""

    def show(self, levels: Levels | None) -> str:
        """Show a picture, or keep the last one; returns the keys pressed since. Closing the window presses `q`."""
        ...

    def close(self) -> None:
        """Close the window."""
        ...


class OpenCVScreen:
    """A window of OpenCV's highgui. Raises `OptionError` if this build has none, as headless builds."""

    def __init__(self) -> None:
        self._cv2: Any = opencv()
        try:
            self._cv2.namedWindow(TITLE, self._cv2.WINDOW_NORMAL)
        except self._cv2.error as error:
            raise OptionError("this build of OpenCV (opencv-python-headless) has no GUI. Use `screen=tk`.") from error

    def show(self, levels: Levels | None) -> str:
        """See `Screen.show`."""
        if levels is not None:
            self._cv2.imshow(TITLE, self._cv2.cvtColor(levels, self._cv2.COLOR_RGB2BGR))
        code = self._cv2.waitKey(1)
        closed = self._cv2.getWindowProperty(TITLE, self._cv2.WND_PROP_VISIBLE) < 1
        return "q" if closed else chr(code) if 0 <= code < 128 else ""

    def close(self) -> None:
        """See `Screen.close`."""
        self._cv2.destroyWindow(TITLE)


class TkScreen:
    """A window of Tk. Raises `OptionError` if Tk or a display is missing."""

    def __init__(self) -> None:
        try:
            import tkinter

            from PIL import ImageTk
        except ImportError as error:
            raise OptionError(f"this Python has no Tk ({error}). {WITHOUT}") from error
        try:
            self._root: Any = tkinter.Tk()
        except tkinter.TclError as error:
            raise OptionError(f"Tk cannot open a window: {error}. {WITHOUT}") from error
        self._picture_of: Any = ImageTk.PhotoImage
        self._picture: Any = None  # Tk shows a picture only while it is referenced
        self._keys = ""
        self._root.title(TITLE)
        self._label: Any = tkinter.Label(self._root, borderwidth=0)
        self._label.pack()
        self._root.bind("<Key>", lambda event: self._add(event.char))
        self._root.protocol("WM_DELETE_WINDOW", lambda: self._add("q"))

    def _add(self, keys: str) -> None:
        self._keys += keys

    def show(self, levels: Levels | None) -> str:
        """See `Screen.show`."""
        if levels is not None:
            self._picture = self._picture_of(Image.fromarray(levels))
            self._label.configure(image=self._picture)
        self._root.update()
        keys, self._keys = self._keys, ""
        return keys

    def close(self) -> None:
        """See `Screen.close`."""
        self._root.destroy()


def open_screen(name: str) -> Screen | None:
    """The window `opencv` or `tk`; with `auto` the first that opens, or None. Raises `OptionError`."""
    kinds: dict[str, type[Screen]] = {"opencv": OpenCVScreen, "tk": TkScreen}
    if name in kinds:
        return kinds[name]()
    for kind in kinds.values() if name == "auto" else ():
        with contextlib.suppress(OptionError):
            return kind()
    return None
