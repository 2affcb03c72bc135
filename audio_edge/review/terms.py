"""What a review queue may keep."""

from __future__ import annotations

from dataclasses import dataclass

from audio_edge.errors import UserError


@dataclass(frozen=True)
class Terms:
    """What may be kept, and what it is sorted into.

    Attributes:
        labels: What a clip may be called.
        consent: Who agreed to what, in words; while it is empty nothing is taken in.
        keep_days: Age at which a clip goes, reviewed or not.
        keep_mb: Megabytes of audio beyond which the oldest clips go.
    """

    labels: tuple[str, ...] = ()
    consent: str = ""
    keep_days: float = 90.0
    keep_mb: float = 1000.0

    def __post_init__(self) -> None:
        if not (0 < self.keep_days < 1e5 and 0 < self.keep_mb < 1e9):
            received = f"{self.keep_days:g} days, {self.keep_mb:g} MB"
            raise UserError(f"days and mb to keep must be > 0. Received: {received}")
        if len(set(self.labels)) != len(self.labels) or not all(map(str.strip, self.labels)):
            raise UserError(f"labels must be distinct names. Received: {', '.join(self.labels)}")
        for text in (*self.labels, self.consent):
            if text != text.encode(errors="replace").decode():
                raise UserError(f"labels and consent must be UTF-8. Received: {text!r}")
