"""The public face of the package."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

import audio_edge

ROOT = Path(__file__).parents[1]
COMMANDS = [
    f"{folder}.{path.stem}"
    for folder in ("audio_edge", "training", "tflite", "benchmarks")
    for path in sorted((ROOT / folder).glob("*.py"))
    if "\n@command\n" in path.read_text(encoding="utf-8")
]


def test_every_public_name_can_be_had():
    for name in audio_edge.__all__:
        assert getattr(audio_edge, name) is not None
    assert {"Interpreter", "Detector", "Card", "MODELS", "convert"} <= set(dir(audio_edge))


def test_names_come_from_their_modules():
    from audio_edge.audio import read
    from audio_edge.config import load_config
    from audio_edge.models import MODELS

    assert audio_edge.read is read
    assert audio_edge.load_config is load_config
    assert audio_edge.MODELS is MODELS


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_begins_with_how_to_start_it(name, capsys):
    with pytest.raises(SystemExit) as left:
        importlib.import_module(name).main(["--help"])
    assert left.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: python -m {name} ")
