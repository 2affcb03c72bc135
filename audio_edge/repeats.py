"""One training repeated: over the official folds of a data set, or over several seeds.

The run of fold 3 lies in DIR/fold3, that of seed 3 in DIR/seed3, DIR being `run.dir`; what all of
them came to lies in DIR/results/folds.json or seeds.json.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audio_edge import files, metrics
from audio_edge.config import FOLDS, Config
from audio_edge.errors import UserError

_STAGES = ("float", "int8")
_KEYS = {"fold": "data.fold", "seed": "run.seed"}


@dataclass(frozen=True)
class Plan:
    """Which runs there are to be.

    Attributes:
        config: Settings that they share.
        by: "fold" or "seed".
        numbers: The folds or the seeds, in the order in which they run.
    """

    config: Config
    by: str
    numbers: tuple[int, ...]

    @property
    def target(self) -> Path:
        """The file of the summary."""
        return Path(self.config.run.dir) / "results" / f"{self.by}s.json"

    def folder(self, number: int) -> Path:
        """The run directory of a fold or seed."""
        return Path(self.config.run.dir) / f"{self.by}{number}"

    def overrides(self, number: int) -> list[str]:
        """What tells a run from the others, as `section.key=value`."""
        name = f"{self.config.run.name}_{self.by}{number}"
        texts = {"run.name": name, "run.dir": str(self.folder(number))}
        quoted = [f"{key}={json.dumps(text, ensure_ascii=False)}" for key, text in texts.items()]
        return [f"{_KEYS[self.by]}={number}", *quoted]


def plan(config: Config, *, folds: str | None = None, seeds: str | None = None) -> Plan:
    """What `--folds` or `--seeds` asks for.

    Args:
        config: Settings; `run.dir` holds all the runs.
        folds: Official folds such as "1,3", or "all".
        seeds: Seeds such as "0,1,2".

    Raises:
        UserError: Both or neither are given, the data set has no folds, or a number is none of
            them.
    """
    if (folds is None) == (seeds is None):
        raise UserError("give either --folds or --seeds")
    if seeds is not None:
        return Plan(config, "seed", _numbers("--seeds", seeds, 0, 2**31 - 1))
    assert folds is not None
    count = FOLDS.get(config.data.kind)
    if count is None:
        raise UserError(
            f"--folds: data.kind '{config.data.kind}' has no official folds, "
            f"as {' and '.join(FOLDS)} have; give --seeds 0,1,2 to repeat a run"
        )
    every = ",".join(map(str, range(1, count + 1)))
    return Plan(config, "fold", _numbers("--folds", every if folds == "all" else folds, 1, count))


def _numbers(option: str, text: str, low: int, high: int) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    plain = all(part.isascii() and part.isdigit() and len(part) <= 10 for part in parts)
    numbers = tuple(map(int, parts)) if plain else ()
    within = all(low <= number <= high for number in numbers)
    if not numbers or not within or len(set(numbers)) < len(numbers):
        rule = f"takes different numbers of {low} to {high} with commas between them"
        raise UserError(f"{option} {rule}. Received: {text!r}")
    return numbers


def summary(asked: Plan, done: Sequence[int]) -> dict[str, Any]:
    """Accuracies of the runs that are done, from the results/accuracy.json of each.

    Args:
        asked: All runs.
        done: The numbers of those that were judged.

    Returns:
        name, by, rows (one a run: its number under `by`, n, and the accuracy of float and int8),
        missing (numbers without a row), and for float and int8 each: mean and deviation (of a
        sample, n - 1; None of fewer than two) of the rows, least, greatest, and for folds, whose
        test clips differ, the accuracy over all n clips with its 95 % Wilson interval. That takes
        clips as independent, also those cut from one recording.

    Raises:
        UserError: A file of results is missing or damaged.
    """
    rows = [{asked.by: number, **_judged(asked.folder(number))} for number in done]
    result: dict[str, Any] = {
        "name": asked.config.run.name,
        "by": asked.by,
        "rows": rows,
        "missing": [number for number in asked.numbers if number not in done],
    }
    for stage in _STAGES if rows else ():
        shares = [row[stage] for row in rows]
        result[stage] = {
            "mean": statistics.fmean(shares),
            "deviation": statistics.stdev(shares) if len(shares) > 1 else None,
            "least": min(shares),
            "greatest": max(shares),
        }
        if asked.by == "fold":
            correct = sum(round(row[stage] * row["n"]) for row in rows)
            clips = sum(row["n"] for row in rows)
            interval = list(metrics.wilson_interval(correct, clips))
            result[stage] |= {"accuracy": correct / clips, "interval": interval, "n": clips}
    return result


def _judged(folder: Path) -> dict[str, Any]:
    path = folder / "results" / "accuracy.json"
    judged = files.read_json(path, dict)
    try:
        shares = {stage: float(judged[stage]["accuracy"]) for stage in _STAGES}
        clips = int(judged["int8"]["n"])
        if clips < 1 or not all(0 <= share <= 1 for share in shares.values()):
            raise ValueError("no shares of clips")
        return {"n": clips, **shares}
    except (LookupError, TypeError, ValueError) as error:
        raise UserError(f"{path}: damaged; delete it and run again") from error


def markdown(result: dict[str, Any]) -> str:
    """The table of a `summary`: a row for each run, then what they came to; accuracy in percent."""
    by = result["by"]
    lines = [f"| {by} | clips | float % | int8 % |", "|---|---:|---:|---:|"]
    for row in result["rows"]:
        lines.append(f"| {row[by]} | {row['n']} | {_cells(row[stage] for stage in _STAGES)} |")
    lines += [f"| {number} | | | |" for number in result["missing"]]
    if not result["rows"]:
        return "\n".join(lines) + "\n"
    totals = [result[stage] for stage in _STAGES]
    for name in ("mean", "deviation", *(() if by == "fold" else ("least", "greatest"))):
        lines.append(f"| {name} | | {_cells(total[name] for total in totals)} |")
    if by == "fold":
        pooled = [
            "{:.2f} ({:.2f} to {:.2f})".format(
                *(100 * share for share in (total["accuracy"], *total["interval"]))
            )
            for total in totals
        ]
        lines.append(f"| all clips (95 %) | {totals[0]['n']} | {' | '.join(pooled)} |")
    return "\n".join(lines) + "\n"


def _cells(shares: Any) -> str:
    return " | ".join("" if share is None else f"{100 * share:.2f}" for share in shares)
