"""The DET picture: what is drawn, and that it is drawn."""

from __future__ import annotations

from audio_edge import det_plot


def test_only_points_that_no_other_beats_are_drawn():
    points = [(0.0, 0.9), (0.0, 0.7), (1.0, 0.8), (1.0, 0.5), (2.0, 0.5), (4.0, 0.1), (9.0, 0.2)]
    assert det_plot.efficient(points) == [(0.0, 0.7), (1.0, 0.5), (4.0, 0.1)]


def test_labels_that_are_never_said_have_no_curve(tmp_path):
    row = {"said": 4, "miss_rate": 0.5, "false_accepts_per_hour": 0.0}
    unsaid = {"said": 0, "miss_rate": None, "false_accepts_per_hour": 2.0}
    per_label = {"low": row, "high": unsaid}
    points = [{"threshold": 0.5, "total": row, "per_label": per_label}]
    figures = {"hours": 1.0, "total": row, "per_label": per_label}
    det_plot.det(tmp_path / "a.png", points, figures)
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"
