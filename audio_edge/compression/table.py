"""All rows and the models of others, timed in one run, as results and as a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from audio_edge import files, measure, scoring, tflite_file
from audio_edge.compression import judge
from audio_edge.summary import model_summary

_WAVEFORM = 8000  # values: an input of fewer is features, not half a second of sound


def collect(
    rows: Sequence[dict[str, Any]], others: Sequence[Path], *, name: str, runs: int,
    progress: Callable[[Sequence[Any]], Iterable[Any]] = iter,
) -> dict[str, Any]:  # fmt: skip
    """Time every file in every runtime, interleaved, and put all figures together.

    Args:
        rows: Of `judge.judged`, the float original first.
        others: Files of other projects: sizes and times only, for their tasks are others.
        name: Of the run.
        runs: Timed runs of each.
        progress: Wraps the rounds, as tqdm does.

    Returns:
        name, device, runtimes, runs, waveform, rows and peers. A row is that of `judge.judged` less
        `right`, with p50_ms {runtime: ms or None}, speed_up {runtime: times, against the float
        original}, drop (of `paired.compare`: the original is A).
    """
    paths = [*(Path(row["file"]) for row in rows), *others]
    waveform, told = scoring.pcm({})
    timed = measure.latency(paths, waveform, runs=runs, progress=progress)
    times: dict[str, dict[str, float | None]] = {}
    for line in timed:
        times.setdefault(line["path"], {})[line["runtime"]] = line.get("p50_ms")
    first = times[rows[0]["file"]]

    def faster(path: str) -> dict[str, float | None]:
        pairs = {runtime: (first[runtime], ms) for runtime, ms in times[path].items()}
        return {
            runtime: original / ms if original and ms else None
            for runtime, (original, ms) in pairs.items()
        }

    return {
        "name": name,
        "device": measure.device(),
        "runtimes": {line["runtime"]: line["version"] for line in timed},
        "runs": runs,
        "waveform": told,
        "rows": [
            {
                **{key: value for key, value in row.items() if key not in ("right", "key")},
                "drop": judge.against(rows[0], row),
                "p50_ms": times[row["file"]],
                "speed_up": faster(row["file"]),
            }
            for row in rows
        ],
        "peers": [_peer(path, times[str(path)]) for path in others],
    }


def _peer(path: Path, times: dict[str, float | None]) -> dict[str, Any]:
    graph = tflite_file.read(path)[0]
    shape = graph.tensors[graph.inputs[0]].shape
    return {
        "name": path.stem,
        "sha256": files.sha256(path.read_bytes()),
        "params": model_summary(path)["params"],
        **measure.sizes(path),
        "input": list(shape),
        "model_only": int(np.prod(shape)) < _WAVEFORM,
        "p50_ms": times,
    }


def markdown(results: dict[str, Any]) -> str:
    """The results as tables under the facts that belong to them."""
    device, runtimes = results["device"], results["runtimes"]
    versions = ", ".join(f"{name} {version}" for name, version in runtimes.items())
    head = ["row", "what", "accuracy", "drop", "p", "size_bytes", "zip_bytes", "params"]
    for runtime in runtimes:
        head += [f"{runtime} p50_ms", "speed-up"]
    lines = [head, ["---", "---", *["---:"] * (len(head) - 2)]]
    for row in results["rows"]:
        low, high = row["interval"]
        accuracy = f"{100 * row['accuracy']:.1f} % ({100 * low:.1f} to {100 * high:.1f})"
        cells = [row["name"], row["told"], accuracy, *_drop(row["drop"])]
        cells += [str(row[key]) for key in ("size_bytes", "zip_bytes", "params")]
        for runtime in runtimes:
            cells += [_shown(row["p50_ms"].get(runtime), ".3f")]
            cells += [_shown(row["speed_up"].get(runtime), ".2f")]
        lines.append(cells)
    facts = [
        f"{results['name']}: accuracy on {results['rows'][0]['n']} test clips with its 95 % "
        "interval; the drop is in points against the first row, on the same clips, with its 95 % "
        "interval, p of the exact McNemar test.",
        f"Device: {device['cpu']} ({device['machine']}, {device['cores']} cores), {device['os']}. "
        f"Runtimes: {versions}; one thread; {results['runs']} timed runs each, interleaved, on "
        f"{results['waveform']}, front end included.",
    ]
    parts = ["\n".join(facts), _table(lines)]
    if results["peers"]:
        head = ["peer", "input", "what", "size_bytes", "zip_bytes", "params"]
        lines = [[*head, *(f"{runtime} p50_ms" for runtime in runtimes)]]
        lines.append(["---", "---", "---", *["---:"] * (len(lines[0]) - 3)])
        for peer in results["peers"]:
            cells = [peer["name"], " x ".join(map(str, peer["input"]))]
            cells.append("model only, features outside" if peer["model_only"] else "from samples")
            cells += [str(peer[key]) for key in ("size_bytes", "zip_bytes", "params")]
            lines.append([*cells, *(_shown(peer["p50_ms"].get(name), ".3f") for name in runtimes)])
        parts += ["Models of others, of other tasks, one call each:", _table(lines)]
    return "\n\n".join(parts) + "\n"


def _drop(drop: dict[str, Any]) -> list[str]:
    if not drop["only_a"] and not drop["only_b"]:
        return ["0.0", "1"]
    low, high = drop["interval"]
    points = f"{100 * drop['difference']:.1f} ({100 * low:.1f} to {100 * high:.1f})"
    return [points, f"{drop['p_value']:.2g}"]


def _shown(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _table(lines: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
