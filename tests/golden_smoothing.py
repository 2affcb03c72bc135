"""The smoother's exact behaviour: `python -m tests.golden_smoothing` writes the golden file.

tests/golden/smoothing.json is for twins in other languages too. What it wants comes from `decide`,
which is written as such a twin would be: one number at a time, sharing no code with the library.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

FILE = Path(__file__).parent / "golden" / "smoothing.json"
ABOUT = [
    "Each case: the probabilities of every hop, and what fires: hop, index of the label, score.",
    "window, threshold, refractory and hold have one value for each label; all but threshold are "
    "hops. probs and threshold are rounded to float32 when they are read.",
    "The score of a label is the sum of its last `window` probabilities in float64, the oldest "
    "first, divided by `window` and rounded to float32; hops before the first count as 0.",
    "scores_at_end are the scores of the last hop. Scores are exact: compare them for equality.",
]
QUIET = ("silence", "unknown", "_silence_", "_unknown_")


def decide(case: dict[str, Any]) -> dict[str, Any]:
    """What fires in a case, and the scores of its last hop."""
    thresholds = [single(value) for value in case["threshold"]]
    history: list[list[float]] = []
    scores: list[float] = []
    fired = []
    since = pause = 0
    blocked = -1
    for hop, probs in enumerate(case["probs"]):
        history.append([single(value) for value in probs])
        scores = []
        for label, window in enumerate(case["window"]):
            total = 0.0
            for row in history[-window:]:
                total += row[label]
            scores.append(single(total / window))
        since += 1
        if blocked >= 0 and (
            scores[blocked] < thresholds[blocked] or since >= case["hold"][blocked]
        ):
            blocked = -1
        best = 0
        for label in range(1, len(scores)):
            if scores[label] > scores[best]:
                best = label
        if (
            scores[best] >= thresholds[best]
            and best != blocked
            and case["labels"][best].lower() not in QUIET
            and since >= pause
        ):
            fired.append({"hop": hop, "label": best, "score": scores[best]})
            since, pause, blocked = 0, case["refractory"][best], best
    return {"fired": fired, "scores_at_end": scores}


def single(value: float) -> float:
    """The nearest float32."""
    return float(struct.unpack("<f", struct.pack("<f", value))[0])


def cases() -> list[dict[str, Any]]:
    """All cases with what they want."""
    made = [*_by_hand(), _rounding(), *(_random(seed) for seed in range(30))]
    return [{**case, **decide(case)} for case in made]


def _case(name: str, probs: list[list[float]], **settings: Any) -> dict[str, Any]:
    labels = settings.pop("labels", ["silence", "low", "high"])
    case: dict[str, Any] = {"name": name, "labels": labels}
    usual = {"window": 3, "threshold": 0.7, "refractory": 4, "hold": 10}
    for key, value in {**usual, **settings}.items():
        case[key] = value if isinstance(value, list) else [value] * len(labels)
    return {**case, "probs": probs}


def _by_hand() -> list[dict[str, Any]]:
    none, low, high = [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]
    tie = [0.0, 0.5, 0.5]
    return [
        _case("nothing is said", [none] * 6),
        _case("hops before the first count as 0", [low] * 3),
        _case("fires once until its score has fallen", [low] * 6 + [none] * 3 + [low] * 3),
        _case("a sound that goes on comes again after hold hops", [low] * 25),
        _case("hold may be shorter than the refractory time", [low] * 15, hold=2, refractory=6),
        _case("refractory of 0 lets another label follow", [low] * 3 + [high] * 6, refractory=0),
        _case("refractory holds back every label", [low] * 3 + [high] * 6),
        _case("refractory ends with the hop that reaches it", [low] * 3 + [high] * 6, refractory=3),
        _case("equal scores: the first label", [tie] * 4, threshold=0.5),
        _case("silence wins a tie and never fires", [[0.5, 0.5, 0.0]] * 4, threshold=0.4),
        _case("a score equal to the threshold fires", [[0.3, 0.7, 0.0]] * 2, window=1),
        _case(
            "a score just below the threshold does not",
            [[0.3, 0.69999998, 0.0], [0.3, 0.69999993, 0.0]], window=1,
        ),  # fmt: skip
        _case("quiet labels in any case of letters", [[0.9, 0.1, 0.0], [0.1, 0.9, 0.0]] * 3,
              labels=["Silence", "_UNKNOWN_", "word"], window=1),
        _case("window of each label", [low] * 4 + [none] * 6 + [high] * 4, window=[1, 1, 4],
              refractory=0),
        _case("threshold of each label", [[0.2, 0.6, 0.2]] * 4 + [[0.2, 0.2, 0.6]] * 4, window=2,
              threshold=[0.7, 0.5, 0.65], refractory=0),
        _case("refractory of the label that fired counts", [low] * 3 + [high] * 6 + [low] * 6,
              window=1, refractory=[0, 2, 5], hold=3),
        _case("hold of each label", [low] * 9 + [high] * 9, window=1, refractory=1,
              hold=[9, 2, 4]),
        _case("another label sets the first one free", [low, high] * 5, window=1, refractory=1),
        _case("two labels", [[0.4, 0.6], [0.6, 0.4]] * 4, labels=["unknown", "yes"], window=2,
              threshold=0.5, refractory=1, hold=2),
    ]  # fmt: skip


def _rounding() -> dict[str, Any]:
    """A mean whose sum in float32 falls short of the threshold that the exact one reaches."""
    for seed in range(10000):
        rng = np.random.default_rng([7, seed])
        column = rng.uniform(0.2, 0.9, 5).astype(np.float32)
        exact = single(float(np.add.reduce(column.astype(np.float64))) / 5)
        short = np.float32(0)
        for value in column:
            short = np.float32(short + value)
        if float(short / np.float32(5)) < exact:
            probs = [[0.0, float(value)] for value in column]
            return _case("sums are in float64", probs, labels=["silence", "yes"], window=5,
                         threshold=exact)  # fmt: skip
    raise AssertionError("no such mean")


def _random(seed: int) -> dict[str, Any]:
    rng = np.random.default_rng([8, seed])
    n = int(rng.integers(2, 5))
    labels = ["up", "down", "go"][: n - 1]
    labels.insert(int(rng.integers(n)), ["silence", "unknown"][seed % 2])
    hops = int(rng.integers(10, 25))
    probs = np.repeat(rng.dirichlet(np.full(n, 0.3), hops), 3, axis=0)[:hops]
    if seed % 3 == 0:
        probs = np.round(4 * probs) / 4  # ties
    elif seed % 3 == 1:
        probs = np.round(probs, 3)
    rows = [[float(np.float32(value)) if seed % 3 == 2 else float(value) for value in row]
            for row in probs]  # fmt: skip
    each = {
        "window": rng.integers(1, 6, n).tolist(),
        "threshold": rng.uniform(0.2, 0.9, n).round(2).tolist(),
        "refractory": rng.integers(0, 7, n).tolist(), "hold": rng.integers(1, 12, n).tolist(),
    }  # fmt: skip
    return _case(f"random {seed}", rows, labels=labels, **each)


def main() -> None:
    """Write the golden file: a line a case."""
    lines = ",\n".join(json.dumps(case) for case in cases())
    FILE.parent.mkdir(exist_ok=True)
    head = json.dumps(ABOUT, indent=1)
    FILE.write_text(f'{{"about": {head},\n"cases": [\n{lines}\n]}}\n', encoding="utf-8")
    print(FILE)


if __name__ == "__main__":
    main()
