"""What listening looks like: one line of a terminal, and the unit that starts it with a system."""

from __future__ import annotations

import getpass
import re
import sys
from collections.abc import Mapping, Sequence

import numpy as np

BAR, LOUDEST_DB, QUIETEST_DB = 12, 0.0, -60.0
_BLOCKS = " ▏▎▍▌▋▊▉█"


def line(
    level_db: float, scores: np.ndarray | None, labels: Sequence[str], counts: Mapping[str, int],
    *, width: int,
) -> str:  # fmt: skip
    """The level, then a bar, the score and the count of each label, cut to the width.

    Args:
        level_db: dB of full scale.
        scores: Smoothed, one a label; None before there is any.
        labels: Those to show.
        counts: Detections by label.
        width: Columns of the terminal, > 0.
    """
    share = (level_db - QUIETEST_DB) / (LOUDEST_DB - QUIETEST_DB)
    parts = [f"{_bar(share, BAR)} {level_db:4.0f} dB"]
    for number, label in enumerate(labels):
        score = 0.0 if scores is None else float(scores[number])
        parts.append(f"{label} {_bar(score, 4)}{score:4.2f} {counts.get(label, 0)}")
    return "  ".join(parts)[: width - 1]


def _bar(share: float, cells: int) -> str:
    """A bar in eighths of a cell; share is cut to [0, 1]."""
    eighths = round(min(1.0, max(0.0, share)) * cells * 8)
    full, rest = divmod(eighths, 8)
    bar = _BLOCKS[8] * full + (_BLOCKS[rest] if rest else "")
    return bar.ljust(cells, "·")


def unit(arguments: Sequence[str]) -> str:
    """A systemd unit that listens as this user from the system's start on, again after a failure.

    Args:
        arguments: Of `audio_edge.listen`, with whole paths.
    """
    words = " ".join(_quoted(word) for word in (sys.executable, "-m", "audio_edge.listen"))
    given = " ".join(map(_quoted, arguments))
    return f"""[Unit]
Description=audio_edge listens
After=sound.target

[Service]
ExecStart={words} {given}
Restart=on-failure
RestartPreventExitStatus=2
RestartSec=5
User={getpass.getuser()}
SupplementaryGroups=audio
MemoryMax=128M
NoNewPrivileges=yes

[Install]
WantedBy=multi-user.target
"""


def _quoted(word: str) -> str:
    """As systemd reads words: quoted where need be, its percent signs doubled."""
    word = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return word if re.fullmatch(r"[\w@%+=:,./$-]+", word) else f'"{word}"'
