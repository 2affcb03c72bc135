"""Noticing PyPI's `tflite`, which installs its schema classes into a folder of our package's name.

A module of its own, so that it can still be imported when that distribution has overwritten
`tflite/__init__.py`. Commands call it first.
"""

from __future__ import annotations

from pathlib import Path

import tflite
from audio_edge.errors import UserError

_FOREIGN = ("Model.py", "SubGraph.py", "BuiltinOperator.py")  # of PyPI's tflite, in every version


def check_not_shadowed() -> None:
    """Raise a `UserError` if the imported `tflite` is PyPI's, or lies in one folder with it."""
    here = Path(__file__).resolve().parent
    loaded = Path(tflite.__file__ or here / "__init__.py").resolve().parent
    if loaded != here or any((here / name).exists() for name in _FOREIGN):
        raise UserError(
            f"{loaded}: the package 'tflite' from PyPI takes the place of audio_edge's; "
            "run pip uninstall tflite, then install audio_edge again"
        )
