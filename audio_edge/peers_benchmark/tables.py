"""The results as a Markdown table and as a chart."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from audio_edge.canvas import COLOURS, figure_class, save

PCM = "PCM to answer"
_OURS = ("stream", "detector", "clips")  # kinds of listeners
_GROUPS: dict[str, tuple[str, Callable[[dict[str, Any]], bool]]] = {
    "ours, from PCM to answer": (COLOURS[0], lambda row: row["kind"] in _OURS),
    "others, from PCM to answer": (
        COLOURS[1], lambda row: row["kind"] not in _OURS and row["covers"] == PCM,
    ),
    "others, the model alone": ("0.75", lambda row: row["covers"] != PCM),
}  # fmt: skip


def markdown(results: dict[str, Any]) -> str:
    """The rows of `run.benchmark`, each against the first, under the facts that belong to them."""
    device = results["device"]
    version = device["runtimes"][results["runtime"]]
    lines = [
        f"Device: {device['cpu']} ({device['machine']}, {device['cores']} cores), {device['os']}, "
        f"Python {device['python']}, NumPy {device['numpy']}.",
        f"Files in {results['runtime']} {version}, packages in their own; one thread; "
        f"{results['runs']} rounds, interleaved, on {results['waveform']}.",
        "CPU time of the process per second of sound, median (10th to 90th percentile of rounds).",
        "",
        "| listener | covers | answers/s | CPU us per s | spread | times the first | files, bytes "
        "| accuracy | start s | peak MiB |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    first = results["rows"][0]["cpu_us_per_s"]
    for row in results["rows"]:
        hit, peak = row["accuracy"], row["peak_mib"]
        cells = [
            row["name"], row["covers"], f"{row['answers_per_s']:.1f}", f"{row['cpu_us_per_s']:.0f}",
            f"{row['cpu_us_p10']:.0f} to {row['cpu_us_p90']:.0f}",
            f"{row['cpu_us_per_s'] / first:.2f}", str(row["size_bytes"]),
            f"{100 * hit['accuracy']:.1f} %" if hit else "", f"{row['start_s']:.2f}",
            "" if peak is None else f"{peak:.1f}",
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |")
    return "\n".join(lines) + "\n"


def chart(path: str | os.PathLike[str], results: dict[str, Any]) -> None:
    """Bars of CPU time per second of sound on a logarithmic axis, the cheapest at the top.

    Args:
        path: Picture to write; its ending names the format.
        results: Of `run.benchmark`.

    Raises:
        UserError: matplotlib is missing, or the format is unknown.
    """
    rows = sorted(results["rows"], key=lambda row: -row["cpu_us_per_s"])
    figure = figure_class()(figsize=(9.0, 1.4 + 0.3 * len(rows)), layout="constrained")
    axis = figure.subplots()
    for told, (colour, belongs) in _GROUPS.items():
        chosen = [(at, row) for at, row in enumerate(rows) if belongs(row)]
        values = [row["cpu_us_per_s"] for _, row in chosen]
        axis.barh([at for at, _ in chosen], values, 0.7, color=colour, label=told)
    for at, row in enumerate(rows):
        axis.annotate(
            f"{row['cpu_us_per_s']:,.0f}", (row["cpu_us_per_s"], at), xytext=(4, 0),
            textcoords="offset points", va="center", fontsize=8, color="0.2",
        )  # fmt: skip
    axis.set_yticks(range(len(rows)), [row["name"] for row in rows], fontsize=8)
    axis.set_xscale("log")
    axis.xaxis.set_major_formatter("{x:,.0f}")
    axis.margins(x=0.12, y=0.02)
    axis.set_xlabel("CPU time per second of sound, µs, one thread")
    axis.set_title(f"{results['device']['cpu']}, {results['runs']} rounds", fontsize=10)
    axis.grid(axis="x", color="0.9", lw=0.6)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(loc="upper right", fontsize=8, frameon=False)
    save(figure, path)
