"""What a search came to: trials.json, a table, and the best config as TOML."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from audio_edge import files
from audio_edge.config import to_toml
from audio_edge.tuning import chart
from audio_edge.tuning.limit import LATENCY
from audio_edge.tuning.pareto import best, front
from audio_edge.tuning.search import BASE, DONE, Plan


def write(plan: Plan, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Write trials.json, pareto.png and, if a trial is within the limit, best.toml.

    Returns:
        What trials.json holds: name, algorithm, seed, limit, rows, front and best (names of
        trials; best may be None).
    """
    kind = plan.limit.kind
    winner = best(rows, kind)
    results = {
        "name": plan.config.run.name,
        "algorithm": plan.algorithm,
        "seed": plan.config.run.seed,
        "limit": {"kind": kind, "most": plan.limit.most},
        "rows": list(rows),
        "front": [row["name"] for row in front(rows, kind)],
        "best": winner and winner["name"],
    }
    files.write_json(plan.dir / "trials.json", results)
    chart.chart(plan.dir / "pareto.png", results)
    if winner:
        files.write_bytes(
            plan.dir / "best.toml",
            best_toml(plan, winner, len(rows)).encode(errors="backslashreplace"),
        )
    return results


def best_toml(plan: Plan, winner: dict[str, Any], trials: int) -> str:
    """The whole config of a trial, below comments that say what it gave.

    Its run.dir is that of the trial, so that `training.run` finds the stages trained and only
    judges them.
    """
    config = plan.candidate(winner["name"], winner["values"], winner["share"])
    cost = _cost(winner, plan.limit.kind)
    told = (
        f"# {_percent(winner)} of the selection clips in int8, {cost}: the best of {trials} trials "
        f"({plan.algorithm}, seed {config.run.seed}).\n"
        "# It was chosen by that figure, which therefore flatters it: training.run judges it on "
        "the test clips.\n"
    )
    if winner["share"] < 1:
        given = plan.config.train.epochs
        told += (
            f"# Hyperband gave it {config.train.epochs} of {given} epochs; more may do better.\n"
        )
    return told + "\n" + to_toml(config)


def markdown(results: dict[str, Any]) -> str:
    """The rows as a Markdown table, best first; a star marks the front."""
    kind = results["limit"]["kind"]
    columns = ["trial", "status", "int8 %", "float %", "size_bytes", "classifier_bytes"]
    columns += ["latency_ms"] * (kind == LATENCY) + ["epochs", "seconds", "settings"]
    lines = [columns, ["---", "---", *["---:"] * (len(columns) - 3), "---"]]
    order = sorted(results["rows"], key=lambda row: (row["status"] != DONE, -_accuracy(row)))
    for row in order:
        mark = " *" * (row["name"] in results["front"])
        line = [row["name"] + mark, row["status"], _percent(row), _float(row)]
        line += [_shown(row, "size_bytes"), _shown(row, "classifier_bytes")]
        line += [_shown(row, LATENCY)] * (kind == LATENCY)
        line += [f"{100 * row['share']:.0f} %", f"{row['seconds']:.0f}", _settings(row)]
        lines.append(line)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def told(row: dict[str, Any], kind: str) -> str:
    """One line about a trial that has ended."""
    if row["status"] != DONE:
        return f"trial {row['name']}: {row['status']}, {row['reason']}"
    return (
        f"trial {row['name']}: {_percent(row)}, {_cost(row, kind)}, "
        f"{100 * row['share']:.0f} % of the epochs, {row['seconds']:.0f} s"
    )


def _settings(row: dict[str, Any]) -> str:
    if row["name"] == BASE:
        return "as given"
    said = ", ".join(f"{key} {value}" for key, value in row["values"].items())
    return f"{said}: {row['reason']}" if row["status"] != DONE else said


def _accuracy(row: dict[str, Any]) -> float:
    return float(row.get("accuracy", 0.0))


def _percent(row: dict[str, Any]) -> str:
    if "accuracy" not in row:
        return ""
    low, high = row["interval"]
    share = 100 * row["accuracy"]
    return f"{share:.1f} % ({100 * low:.1f} to {100 * high:.1f}, n={row['n']})"


def _float(row: dict[str, Any]) -> str:
    share = row.get("float_accuracy")
    return "" if share is None else f"{100 * share:.1f}"


def _shown(row: dict[str, Any], key: str) -> str:
    return "" if row.get(key) is None else str(row[key])


def _cost(row: dict[str, Any], kind: str) -> str:
    return f"{row[kind]:.3f} ms" if kind == LATENCY else f"{row[kind]} bytes"
