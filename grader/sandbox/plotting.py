"""What student code draws with matplotlib, as PNG files that travel with the reply of the request that drew them.

Nothing here is trusted: the grader bounds and checks what arrives (pictures.py). These limits only keep an honest
program from being cut off. A drawing that cannot be rendered is never the student's failure.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import io
import logging
import os
import sys
import tempfile
import types
from typing import Any

PYPLOT = "matplotlib.pyplot"
MOST_A_CHECK, MOST_BYTES = 4, 96 << 10
WIDTH, HEIGHT = 1000, 800  # pixels
DPI, LEAST_DPI = 100, 40
_TOO_LARGE = "(a figure was too large to be kept / 有一张图太大，没有保留)"
_NOT_RENDERED = "(a figure could not be rendered / 有一张图无法绘制)"


def warm() -> None:
    """In a zygote with time to spare: imports pyplot and draws once, so that no child has to find its fonts again."""
    try:
        pyplot: Any = importlib.import_module(PYPLOT)
    except ImportError:  # an environment without matplotlib
        return
    figure = pyplot.figure()
    figure.gca().plot([0, 1], label="x")
    figure.legend()
    figure.savefig(io.BytesIO(), format="png")
    pyplot.close(figure)


def warm_where_nothing_can_be_written() -> None:
    """For modes C and D, before the first fork: a child cannot make the folder that matplotlib insists on."""
    before = os.environ["MPLCONFIGDIR"]
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MPLCONFIGDIR"] = folder
        warm()
    os.environ["MPLCONFIGDIR"] = before


class Drawings(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Collects figures: those shown, when they are shown, as a notebook does, and those open at the end of a request.

    Also the finder that notices the import of pyplot where the zygote has not done it.
    """

    def __init__(self) -> None:
        self.pictures: list[bytes] = []
        self.left = MOST_A_CHECK
        self._pyplot: Any = None
        self._render: Any = None
        self._close: Any = None
        self._loader: Any = None
        self._open: Any = None
        if PYPLOT in sys.modules:
            self.watch(sys.modules[PYPLOT])
        else:
            sys.meta_path.insert(0, self)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        if name != PYPLOT:
            return None
        found = importlib.machinery.PathFinder.find_spec(name, path)
        if found is not None:
            self._loader, found.loader = found.loader, self
        return found

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType | None:
        made: types.ModuleType | None = self._loader.create_module(spec)
        return made

    def exec_module(self, module: types.ModuleType) -> None:
        self._loader.exec_module(module)
        self.watch(module)

    def get_source(self, name: str) -> str:
        source: str = self._loader.get_source(name)
        return source

    def watch(self, pyplot: Any) -> None:
        """Keeps the functions as they are now, whatever the student's code puts in their places."""
        figure = importlib.import_module("matplotlib.figure")
        self._pyplot, self._close, self._render = pyplot, pyplot.close, figure.Figure.savefig
        self._open = importlib.import_module("matplotlib._pylab_helpers").Gcf.get_all_fig_managers
        logging.getLogger("matplotlib").setLevel(logging.ERROR)  # a font that is not here is named for every letter

        def show(*_: Any, **__: Any) -> None:  # a plain function: pyplot sets attributes of it
            self.take_open()

        pyplot.show = show
        pyplot.pause = lambda interval: None  # there is nobody to watch it

    def take_open(self) -> None:
        """Renders what is open, as far as pictures are left, and closes it all."""
        try:
            for manager in self._open():
                figure = manager.canvas.figure
                if self.left > 0 and (figure.axes or figure.texts or figure.images or figure.lines):
                    self.left -= 1
                    self._take(figure)
        except BaseException as error:  # a student's own artist may raise anything, SystemExit too
            print(f"{_NOT_RENDERED} {type(error).__name__}")
        finally:
            self._close("all")

    def _take(self, figure: Any) -> None:
        width, height = figure.get_size_inches()
        scale = min(1.0, WIDTH / DPI / width, HEIGHT / DPI / height)
        dpi = max(scale * DPI, LEAST_DPI)  # below that, letters cannot be drawn: the sheet is made smaller instead
        figure.set_size_inches(width * scale * DPI / dpi, height * scale * DPI / dpi)
        for smaller in (1, 2, 4):
            file = io.BytesIO()
            self._render(figure, file, format="png", dpi=dpi / smaller)
            if file.tell() <= MOST_BYTES:
                self.pictures.append(file.getvalue())
                return
        print(_TOO_LARGE)

    def collect(self) -> dict[str, list[bytes]]:
        """{"pictures": PNG files} of the request that ends, {} when nothing was drawn."""
        if self._pyplot is None:
            return {}
        if self._open():
            self.take_open()
        pictures, self.pictures = self.pictures, []
        return {"pictures": pictures} if pictures else {}
