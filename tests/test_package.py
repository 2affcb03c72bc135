"""The public face of the package."""

from __future__ import annotations

import audio_edge


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
