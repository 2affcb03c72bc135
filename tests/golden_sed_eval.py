"""What sed_eval says of 200 random cases: `python -m tests.golden_sed_eval` writes the golden file.

sed_eval is a development tool of its own, with dependencies that nothing else here has, so its
answers are kept: tests/golden/sed_eval.json. `pip install sed_eval` to write it, or to test live.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

FILE = Path(__file__).parent / "golden" / "sed_eval.json"
LABELS = ("a", "b", "c")
RATES = ("error_rate", "deletion_rate", "insertion_rate")


def cases(number: int = 200) -> list[dict[str, Any]]:
    """Random cases: said and heard as [label, start, end], dense, with times that often agree."""
    made = []
    for seed in range(number):
        rng = np.random.default_rng([6, seed])
        labels = LABELS[: rng.integers(1, 4)]
        length = rng.choice([1.0, 4.0, 12.0])

        def some(least: int, rng=rng, labels=labels, length=length, seed=seed) -> list[list[Any]]:
            rows = []
            for _ in range(rng.integers(least, 13)):
                start, last = rng.uniform(0, length), rng.uniform(0.1, 1.5)
                digits = 1 if seed % 2 else 3  # tenths meet the collar exactly, or nearly so
                begin, end = round(start, digits), round(start + last, digits)
                rows.append([str(rng.choice(labels)), begin, end])
            return rows

        share = [None, 0.0, 0.2, 0.5][seed % 4]
        collar = [0.1, 0.2, 0.25, 0.5][int(rng.integers(4))]
        made.append({"said": some(1), "heard": some(0), "collar_s": collar, "end_share": share})
    return made


def ask(case: dict[str, Any]) -> dict[str, Any]:
    """The figures that sed_eval gives for a case, under our names."""
    import dcase_util
    import sed_eval

    def events(rows: list[list[Any]]) -> Any:
        keys = ("event_label", "onset", "offset")
        return dcase_util.containers.MetaDataContainer(
            [dict(zip(keys, row, strict=True)) for row in rows]
        )

    share = case["end_share"]
    judge = sed_eval.sound_event.EventBasedMetrics(
        list(LABELS), evaluate_onset=True, evaluate_offset=share is not None,
        t_collar=case["collar_s"], percentage_of_length=share or 0.0,
    )  # fmt: skip
    judge.evaluate(events(case["said"]), events(case["heard"]))
    overall = _named(judge.overall_f_measure())
    rows = {}
    for label in LABELS:
        count = judge.class_wise_count(label)
        rows[label] = _named(judge.class_wise_f_measure(label))
        if count["Nref"]:  # without any said, sed_eval divides by the least number there is
            rows[label] |= {key: judge.class_wise_error_rate(label)[key] for key in RATES}
        rows[label] |= {"said": int(count["Nref"]), "heard": int(count["Nsys"])}
    return {"overall": overall, "per_class": rows}


def _named(found: dict[str, float]) -> dict[str, float | None]:
    names = {"f_measure": "f1", "precision": "precision", "recall": "recall"}
    return {
        ours: None if math.isnan(found[theirs]) else found[theirs]
        for theirs, ours in names.items()
    }  # fmt: skip


def main() -> None:
    """Write the golden file: a line a case."""
    from importlib.metadata import version

    lines = [json.dumps({**case, "wanted": ask(case)}) for case in cases()]
    head = json.dumps({"sed_eval": version("sed_eval"), "labels": LABELS})[:-1]
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(head + ', "cases": [\n' + ",\n".join(lines) + "\n]}\n", encoding="utf-8")
    print(FILE)


if __name__ == "__main__":
    main()
