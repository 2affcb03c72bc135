"""One listener in a process of its own: how soon it answers, and the memory that it takes.

python -m audio_edge.peers_benchmark.starts KIND [FILE...] hears one second and prints JSON.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from typing import Any

from audio_edge import measure
from audio_edge.errors import UserError
from audio_edge.peers_benchmark.listeners import KINDS, RATE, Listener
from audio_edge.probe import peak

STARTS = 5
_TIMEOUT_S = 120.0


def started(listener: Listener) -> dict[str, Any]:
    """Start it `STARTS` times.

    Returns:
        start_s: Median of seconds from the start of Python to the first answers.
        peak_mib: Greatest peak of resident memory, None where the system does not tell.

    Raises:
        UserError: It does not run.
    """
    command = [sys.executable, "-m", "audio_edge.peers_benchmark.starts", listener.kind]
    seconds, peaks = [], []
    for _ in range(STARTS):
        took, done = measure.timed(
            lambda: subprocess.run(
                [*command, *listener.files], capture_output=True, text=True, timeout=_TIMEOUT_S,
                check=False,
            )
        )  # fmt: skip
        if done.returncode:
            said = (done.stderr.strip().splitlines() or ["no word"])[-1]
            raise UserError(f"{listener.name}: does not run ({said}); leave it out")
        seconds.append(took)
        peaks.append(json.loads(done.stdout.splitlines()[-1])["peak_mib"])
    known = [value for value in peaks if value is not None]
    return {"start_s": statistics.median(seconds), "peak_mib": max(known) if known else None}


def main(kind: str, *files: str) -> None:
    """Load, hear a second of silence, print the peak."""
    import numpy as np

    packet, hear = KINDS[kind](*files)
    for _ in range(-(-RATE // packet)):
        hear(np.zeros(packet, np.int16))
    print(json.dumps({"peak_mib": peak()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
