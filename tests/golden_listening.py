"""What the models of tests/android hear: `python -m tests.golden_listening` writes the golden file.

tests/golden/listening.json is for the Kotlin twin, which hears the same recordings with the same
models. Models are those of `make demo`; recordings are of `training.say training/configs/demo.toml
--count 4` with the `--snr-db` and `--seed` that they are named for, chosen among others because no
smoothed score of an int8 file comes closer than 0.015 to the threshold.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from audio_edge import audio
from audio_edge.detector import Detector

FOLDER = Path(__file__).parent / "android"
FILE = Path(__file__).parent / "golden" / "listening.json"
ABOUT = [
    "What each model of tests/android detects in each recording there: label, score, seconds.",
    "Times are exact, for they count samples. Scores differ between runtimes: by less than 1e-4 of "
    "a float file, 0.02 of an int8 file.",
]


def heard(model: Path, recording: Path) -> list[dict[str, Any]]:
    """The detections of one model in one recording."""
    detector = Detector(model)
    waveform, _ = audio.read(recording, sample_rate=detector.model.sample_rate)
    return [dataclasses.asdict(found) for found in detector.detect(waveform)]


def cases() -> list[dict[str, Any]]:
    """Every model with every recording."""
    return [
        {"model": model.name, "recording": recording.name, "heard": heard(model, recording)}
        for model in sorted(FOLDER.glob("*.tflite"))
        for recording in sorted(FOLDER.glob("*.wav"))
    ]


def main() -> None:
    """Write the golden file: a line a case."""
    lines = ",\n".join(json.dumps(case) for case in cases())
    head = json.dumps(ABOUT, indent=1)
    FILE.write_text(f'{{"about": {head},\n"cases": [\n{lines}\n]}}\n', encoding="utf-8")
    print(FILE)


if __name__ == "__main__":
    main()
