"""What a board's speed hangs on: governor, clock, temperature, throttling. Blank where untold."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path("/")
_FREQUENCY = "sys/devices/system/cpu/cpu0/cpufreq/"
# The bits of `vcgencmd get_throttled`; sixteen higher, the same has been since the start.
THROTTLED = {0: "under-voltage", 1: "clock capped", 2: "throttled", 3: "soft temperature limit"}
_TIMEOUT_S = 10.0


def condition(root: Path = ROOT) -> dict[str, Any]:
    """The state of the board now.

    Args:
        root: Where the system's files are.

    Returns:
        governor, clock_mhz, temperature_c (the hottest zone), throttled (the number that a
        Raspberry Pi's firmware gives) and slowed (what of THROTTLED that says, now or since the
        start); each None where the system does not tell.
    """
    clock = _number(root / _FREQUENCY / "scaling_cur_freq")
    zones = [_number(path) for path in sorted((root / "sys/class/thermal").glob("*/temp"))]
    heat = [value for value in zones if value is not None]
    flags = _flags()
    return {
        "governor": _text(root / _FREQUENCY / "scaling_governor"),
        "clock_mhz": None if clock is None else clock / 1000,
        "temperature_c": max(heat) / 1000 if heat else None,
        "throttled": None if flags is None else hex(flags),
        "slowed": None if flags is None else slowed(flags),
    }


def slowed(flags: int) -> list[str]:
    """What the bits of `vcgencmd get_throttled` say."""
    return [
        name + ("" if flags >> bit & 1 else " since the start")
        for bit, name in THROTTLED.items()
        if flags >> bit & 1 or flags >> (bit + 16) & 1
    ]


def system(root: Path = ROOT) -> str | None:
    """The name of the operating system, as its own file has it."""
    lines = (_text(root / "etc/os-release") or "").splitlines()
    names = [line.partition("=")[2].strip('"') for line in lines if line.startswith("PRETTY_NAME=")]
    return names[0] if names else None


def _flags() -> int | None:
    tool = shutil.which("vcgencmd")
    if tool is None:
        return None
    try:
        done = subprocess.run(
            [tool, "get_throttled"], capture_output=True, text=True, timeout=_TIMEOUT_S, check=True
        )
        return int(done.stdout.partition("=")[2], 0)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None


def _number(path: Path) -> float | None:
    try:
        return float(path.read_text())
    except (OSError, ValueError):
        return None


def _text(path: Path) -> str | None:
    try:
        return path.read_text(errors="replace").strip() or None
    except OSError:
        return None
