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
from audio_edge.streaming_interpreter import open_model

FOLDER = Path(__file__).parent / "android"
FILE = Path(__file__).parent / "golden" / "listening.json"
# As a card has them, after training.calibrate: some labels apart, a hop that is no whole packet.
CALIBRATED: dict[str, Any] = {
    "hop_s": 0.13, "window_s": 0.45, "threshold": 0.44, "refractory_s": 1.1,
    "labels": {"play": {"threshold": 0.74, "window_s": 0.2}, "quiet": {"refractory_s": 0.3}},
}  # fmt: skip
ABOUT = [
    "What each model of tests/android detects in each recording there: label, score, seconds.",
    "Where there is a detector, these settings stand in for those of the model's card.",
    "Times are exact, for they count samples. Scores differ between runtimes: by less than 1e-4 of "
    "a float file, 0.02 of an int8 file.",
]


def heard(case: dict[str, Any]) -> list[dict[str, Any]]:
    """The detections of a case."""
    model = open_model(FOLDER / case["model"])
    if "detector" in case:
        assert model.card
        model.card = dataclasses.replace(model.card, detector=case["detector"])
    waveform, _ = audio.read(FOLDER / case["recording"], sample_rate=model.sample_rate)
    return [dataclasses.asdict(found) for found in Detector(model).detect(waveform)]


def cases() -> list[dict[str, Any]]:
    """Every model with every recording, and with other settings too."""
    made = [
        {"model": model.name, "recording": recording.name, **settings}
        for settings in ({}, {"detector": CALIBRATED})
        for model in sorted(FOLDER.glob("*.tflite"))
        for recording in sorted(FOLDER.glob("*.wav"))
    ]
    return [{**case, "heard": heard(case)} for case in made]


def main() -> None:
    """Write the golden file: a line a case."""
    lines = ",\n".join(json.dumps(case) for case in cases())
    head = json.dumps(ABOUT, indent=1)
    FILE.write_text(f'{{"about": {head},\n"cases": [\n{lines}\n]}}\n', encoding="utf-8")
    print(FILE)


if __name__ == "__main__":
    main()
