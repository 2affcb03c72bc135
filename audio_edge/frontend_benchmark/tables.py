"""The results of `frontend_benchmark` as Markdown tables; what was not measured is blank."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_ERRORS = ("noise", "speech", "speech_near", "tones_near")


def markdown(results: dict[str, Any]) -> str:
    """The facts that belong to the figures, then tables: runtimes, libraries, growth.

    Args:
        results: Of `audio_edge.frontend_benchmark.run.benchmark`.
    """
    parts = [_facts(results)]
    for runtime, version in results["runtimes"].items():
        rows = [row for row in results["rows"] if row["runtime"] == runtime]
        parts.append(f"{runtime} {version}:\n\n{_front_ends(rows)}")
    if results["libraries"]:
        parts.append(f"Python libraries:\n\n{_libraries(results['libraries'])}")
    parts += [f"{reason}; its figures are blank." for reason in results["missing"].values()]
    if results["growth"]:
        runtime = results["growth"][0]["runtime"]
        parts.append(f"How log-mel grows, {runtime}:\n\n{_growth(results['growth'])}")
    return "\n\n".join(parts) + "\n"


def _facts(results: dict[str, Any]) -> str:
    device, c, signals = results["device"], results["settings"], results["signals"]
    versions = ", ".join(
        f"{name} {number}" for name, number in results["versions"].items() if number
    )
    lines = [
        f"Device: {device['cpu']} ({device['machine']}, {device['cores']} cores), {device['os']}, "
        f"Python {device['python']}, {versions}.",
        f"Front ends: {c['clip_s']:g} s at {c['sample_rate']} Hz, frames of {c['frame_length']} "
        f"every {c['hop_length']} samples, transform of {c['n_fft']}, {c['n_mels']} mel bands.",
        f"Times: us per second of audio of {signals['timed']}, 1 thread, {results['runs']} timed "
        "runs each, interleaved, each after untimed ones of its own; spread is (p90 - p10) / p50. "
        "A ratio below 1 is faster.",
        "Errors: greatest difference from float64 in units of the feature's scale. Near: where "
        f"power is within {results['near_db']:g} dB of the frame's strongest. Noise: "
        f"{signals['noise']}. Tones: {signals['tones']}. Speech: {signals['speech'] or 'none'}.",
    ]
    shown = {name for row in results["rows"] for name in row["feature"].split("+")}
    scales = [f"{name} {text}" for name, text in results["scales"].items() if name in shown]
    return "\n".join([*lines, f"Scales: {'; '.join(scales)}."])


def _front_ends(rows: Sequence[dict[str, Any]]) -> str:
    columns = ["feature", "form", "p50_us", "p90_us", "spread", "/ tf.signal", "/ librosa"]
    columns += ["/ micro", "constant_bytes", "file_bytes", "delegated", *_ERRORS]
    cells = []
    for row in rows:
        line = [row["feature"], row["form"] or "", *_times(row)]
        line += [_shown(row.get(key), ".2f") for key in ("to_tf_signal", "to_librosa", "to_micro")]
        line += [str(row["constant_bytes"]), str(row["file_bytes"])]
        line.append(row.get("failed") or f"{row['delegated']}/{row['ops']}")
        cells.append(line + _errors(row))
    return _table(columns, cells, words=2)


def _libraries(rows: Sequence[dict[str, Any]]) -> str:
    columns = ["library", "feature", "timed", "p50_us", "p90_us", "spread", *_ERRORS]
    cells = [
        [f"{row['library']} {row['version']}", row["feature"], row["timed"]]
        + [*_times(row), *_errors(row)]
        for row in rows
    ]
    return _table(columns, cells, words=3)


def _growth(rows: Sequence[dict[str, Any]]) -> str:
    forms = list(dict.fromkeys(row["form"] for row in rows))
    columns = ["setting", *(f"{form} p50_us" for form in forms)]
    columns += [f"{form} / tf.signal" for form in forms[1:]]
    columns += [f"{form} constant_bytes" for form in forms]
    points: dict[tuple[str, float], dict[str, dict[str, Any]]] = {}
    for row in rows:
        points.setdefault((row["axis"], row["value"]), {})[row["form"]] = row
    cells = []
    for (axis, value), found in points.items():
        first = found[forms[0]]
        with_rate = f", frame_length {first['frame_length']}, n_fft {first['n_fft']}"
        line = [f"{axis} {value:g}{with_rate if axis == 'sample_rate' else ''}"]
        line += [_shown(found[form].get("p50_us"), ".0f") for form in forms]
        line += [_shown(found[form].get("to_tf_signal"), ".2f") for form in forms[1:]]
        cells.append(line + [str(found[form]["constant_bytes"]) for form in forms])
    return _table(columns, cells, words=1)


def _times(row: dict[str, Any]) -> list[str]:
    times = [_shown(row.get(key), ".0f") for key in ("p50_us", "p90_us")]
    return [*times, _shown(row.get("spread"), ".2f")]


def _errors(row: dict[str, Any]) -> list[str]:
    errors = row.get("error") or {}
    return [_shown(errors.get(name), ".1e") for name in _ERRORS]


def _shown(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _table(columns: Sequence[str], cells: Sequence[Sequence[str]], *, words: int) -> str:
    """A table whose first `words` columns are text and the others numbers."""
    rule = ["---"] * words + ["---:"] * (len(columns) - words)
    return "\n".join(f"| {' | '.join(line)} |" for line in [columns, rule, *cells])
