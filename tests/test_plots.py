"""Pictures: that they are drawn from anything a recording can be, and where labels go."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from audio_edge import plots
from audio_edge.detector import Detection
from audio_edge.errors import UserError
from audio_edge.truth import Word


def test_labels_that_are_near_go_to_different_rows():
    assert plots._lanes([1.0, 1.5, 5.0, 5.1, 5.2], apart=1.0) == [0, 1, 0, 1, 2]
    assert plots._lanes([0.0, 0.1, 0.2, 0.3, 0.4, 0.5], apart=1.0) == [0, 1, 2, 3, 0, 1]
    assert plots._lanes([], apart=1.0) == []


def test_colours_belong_to_labels_not_to_their_order():
    heard = [Detection("yes", 0.9, 1.0), Detection("no", 0.9, 2.0)]
    assert plots._colours(heard, None) == plots._colours(heard[::-1], [Word("no", 0, 1)])


@pytest.mark.parametrize("sample_rate", [4000, 8000, 16000, 44100, 48000])
@pytest.mark.parametrize("samples", [1, 500, 30000])
def test_any_rate_and_length_is_drawn(tmp_path, rng, sample_rate, samples):
    path = tmp_path / "picture.png"
    plots.detections(path, rng.normal(0, 0.1, samples), sample_rate, [Detection("yes", 0.9, 0.0)])
    assert path.read_bytes().startswith(b"\x89PNG")


def test_silence_with_truth_and_scores_is_drawn(tmp_path):
    path = tmp_path / "picture.svg"
    scores = (np.array([0.0, 0.5]), np.array([[0.9, 0.1], [0.2, 0.8]]), ("yes", "no"))
    plots.detections(
        path, np.zeros(16000), 16000, [], [Word("yes", 0.5, 0.5)], scores=scores, threshold=0.7
    )
    text = path.read_text()
    for part in ("time in s", "frequency in Hz", "score"):
        assert f"<!-- {part} -->" in text


@pytest.mark.parametrize("name", ["picture.xyz", "picture"])
def test_unknown_format_is_a_user_error_and_leaves_nothing(tmp_path, name):
    with pytest.raises(UserError, match=f"{name}: cannot be drawn"):
        plots.detections(tmp_path / name, np.zeros(16000), 16000, [])
    assert list(tmp_path.iterdir()) == []


def test_missing_matplotlib_is_a_user_error(tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("matplotlib.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UserError, match="pip install matplotlib"):
        plots.detections(tmp_path / "picture.png", np.zeros(16000), 16000, [])
