"""The benchmarks of several devices in one table: a row a model, columns for each device."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from audio_edge import files
from audio_edge.errors import UserError


def read(paths: Sequence[str | os.PathLike[str]]) -> list[dict[str, Any]]:
    """Results of `benchmarks.run --json`, one file a device.

    Raises:
        UserError: A file is missing or holds something else.
    """
    found = []
    for path in paths:
        results = files.read_json(path, dict)
        if not {"device", "runtimes", "rows", "threads"} <= results.keys():
            raise UserError(f"{path}: no results of benchmarks.run; write them with its --json")
        found.append({**results, "file": Path(path).stem})
        try:
            markdown(found[-1:])
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise UserError(f"{path}: damaged; write it again with benchmarks.run") from error
    return found


def markdown(devices: Sequence[dict[str, Any]]) -> str:
    """Rows by model and content, columns of latencies by device, runtime and threads.

    A device that was slowed down while it measured is marked, and why is told below.

    Args:
        devices: Of `read`.
    """
    columns = [
        (number, runtime, threads)
        for number, results in enumerate(devices)
        for runtime in results["runtimes"]
        for threads in (results["threads"], *results.get("more_threads", ()))
    ]
    rows: dict[tuple[str, str, str], dict[str, Any]] = {}
    times: dict[tuple[tuple[str, str, str], tuple[int, str, int]], float] = {}
    for number, results in enumerate(devices):
        for row in results["rows"]:
            key = (row["model"], row["stage"] or "", row["sha256"][:12])
            rows.setdefault(key, row)
            for runtime, facts in row["latency"].items():
                found = {results["threads"]: facts.get("p50_ms")}
                found |= {int(n): ms for n, ms in facts.get("by_threads", {}).items()}
                for threads, value in found.items():
                    if value is not None:
                        times[key, (number, runtime, threads)] = value
    names = [_name(results) for results in devices]
    head = ["model", "stage", "sha256", "size_bytes"]
    head += [f"{names[number]}, {runtime}, {n} thr. p50_ms" for number, runtime, n in columns]
    lines = [
        f"| {' | '.join(head)} |",
        f"| {' | '.join(['---'] * 3 + ['---:'] * (len(head) - 3))} |",
    ]
    for key in sorted(rows):
        cells = [*key, str(rows[key]["size_bytes"])]
        cells += [
            f"{times[key, column]:.3f}" if (key, column) in times else "" for column in columns
        ]
        lines.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |")
    told = [f"- {_told(name, results)}" for name, results in zip(names, devices, strict=True)]
    return "\n".join([*lines, "", *told]) + "\n"


def _name(results: dict[str, Any]) -> str:
    """The device's name, with an asterisk if it was slowed down."""
    after = results.get("after") or {}
    return f"{results['device']['cpu']}{'*' if after.get('slowed') else ''}"


def _told(name: str, results: dict[str, Any]) -> str:
    """One sentence about a device and its state before and after."""
    device, said = results["device"], []
    before, after = results.get("before") or {}, results.get("after") or {}
    if before.get("governor"):
        said.append(f"governor {before['governor']}")
    if before.get("temperature_c") is not None and after.get("temperature_c") is not None:
        said.append(f"{before['temperature_c']:.0f} to {after['temperature_c']:.0f} °C")
    if after.get("slowed") is not None:
        said.append(", ".join(after["slowed"]) or "never throttled")
    versions = ", ".join(f"{key} {value}" for key, value in results["runtimes"].items())
    facts = [device.get("system") or device["os"], f"kernel {device.get('kernel', '?')}", versions]
    return f"{name} ({results['file']}): {'; '.join([*facts, *said])}."
