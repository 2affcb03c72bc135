"""What every picture is drawn on. matplotlib is imported when one is drawn, without a display."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from audio_edge.errors import UserError
from audio_edge.files import replacing

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#a6761d", "#3690c0", "#6a51a3")


def figure_class() -> Any:
    """The Figure of matplotlib, drawn by Agg and without the global state of pyplot."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UserError("pictures need matplotlib; pip install matplotlib") from error

    def figure(**options: Any) -> Any:
        made = Figure(**options)
        FigureCanvasAgg(made)
        return made

    return figure


def check(path: str | os.PathLike[str]) -> None:
    """Raise a `UserError` now if a picture could not be drawn under that name later."""
    endings = figure_class()().canvas.get_supported_filetypes()
    if Path(path).suffix[1:].lower() not in endings:
        raise UserError(f"{path}: cannot be drawn; end the name in .png")


def save(figure: Any, path: str | os.PathLike[str]) -> None:
    """Write a figure; the ending of the path names the format, and the file is whole or absent."""
    if not Path(path).suffix:  # matplotlib would choose another name
        raise UserError(f"{path}: cannot be drawn; end the name in .png")
    try:
        with replacing(path) as temporary:
            figure.savefig(temporary, dpi=120)
    except ValueError as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path}: cannot be drawn ({error}); end the name in .png") from error


def pixels(figure: Any) -> np.ndarray:
    """A figure as an image, row 0 at the top: uint8 [height, width, 3]."""
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()
