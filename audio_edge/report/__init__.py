"""A page on how well a model hears: one HTML file, its pictures and sounds inside.

Nothing is loaded from elsewhere, and the same clips and scores give the same bytes.
"""

from __future__ import annotations

from audio_edge.report.page import Content, render
from audio_edge.report.subject import Subject, histories, subject

__all__ = ["Content", "Subject", "histories", "render", "subject"]
