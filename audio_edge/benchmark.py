"""Finished models side by side: size, accuracy, latency, memory and delegate coverage of one run.

What was not measured is None in the results and blank in the table.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audio_edge import measure, scoring
from audio_edge.card import Card, read_model, split
from audio_edge.condition import condition
from audio_edge.errors import UserError
from audio_edge.files import read_json, sha256
from audio_edge.interpreter import available_runtimes
from audio_edge.summary import CLASSIFIER

KINDS = ("float", "int8")  # of a run's tflite/model_<kind>.tflite, in the order of the rows


@dataclass(frozen=True)
class _Entry:
    """One file to measure; `judged` are the accuracies that its run directory holds, by stage."""

    path: Path
    judged: dict[str, Any]


def benchmark(
    models: Sequence[str | os.PathLike[str]],
    *,
    data: str | os.PathLike[str] | None = None,
    runs: int = 200,
    threads: int | Sequence[int] = 1,
    runtimes: Sequence[str] | None = None,
    progress: Callable[[Sequence[Any]], Iterable[Any]] = iter,
) -> dict[str, Any]:
    """Measure every model in every runtime, interleaved in one run.

    Args:
        models: .tflite files, or run directories, which stand for their model_float.tflite and
            model_int8.tflite and may hold results/accuracy.json.
        data: A folder of label subfolders to take the accuracy on; None takes that of the run
            directories. Clips are centred: padded or cut on both sides to the model's length. A
            folder that is no label counts as "unknown" if the model knows that, else is left out.
        runs: Timed runs of each model in each runtime, at least 100.
        threads: Threads of the interpreters; of several numbers the first is that of all figures,
            for the others there are latencies too.
        runtimes: Of `audio_edge.interpreter.RUNTIMES`; None takes all that are installed but
            TensorFlow. The first gives accuracy, peak memory and rtf.
        progress: Wraps the recordings and the rounds, as tqdm does.

    Returns:
        device, before and after (the state of the board, of `condition`), runtimes (versions),
        threads, more_threads, runs, waveform (what was timed on), data, unreadable (recordings of
        `data`) and rows. A row: model, file, sha256, stage, params, size_bytes,
        zip_bytes, accuracy (accuracy, n, interval, source; or None), latency {runtime: p50_ms,
        p90_ms, rtf, runs or error}, coverage {runtime: delegated, ops, share}, peak_mib,
        baseline_mib, rtf.

    Raises:
        UserError: A model is missing or damaged or runs in none of the runtimes; the folder holds
            no readable recording, or no model knows its labels.
    """
    entries = _entries(models)
    chosen = list(dict.fromkeys(runtimes or measure.light_runtimes()))
    recordings = scoring.recordings(data) if data is not None else {}
    waveform, told = scoring.pcm(recordings)
    paths = [entry.path for entry in entries]
    first, *more = dict.fromkeys([threads] if isinstance(threads, int) else threads)
    before = condition()
    timed = measure.latency(
        paths, waveform, runtimes=chosen, threads=[first, *more], runs=runs, progress=progress
    )
    after = condition()
    latency: dict[str, dict[str, Any]] = {}
    for row in timed:
        known = latency.setdefault(row["path"], {})
        if row["threads"] == first:
            facts = {k: row[k] for k in ("p50_ms", "p90_ms", "rtf", "runs", "error") if k in row}
            known[row["runtime"]] = {**facts, "by_threads": {}} if more else facts
        elif "p50_ms" in row:
            known[row["runtime"]]["by_threads"][str(row["threads"])] = row["p50_ms"]
    scores, unreadable = scoring.accuracies(
        paths, recordings, runtime=chosen[0], threads=first, progress=progress
    )
    if data is not None and not any(scores.values()):
        raise UserError(f"{data}: no model knows its labels; name its subfolders as they do")
    rows = [_row(entry, latency[str(entry.path)], chosen, first) for entry in entries]
    for entry, row in zip(entries, rows, strict=True):
        if data is not None:
            row["accuracy"] = scores[entry.path]
    names = [row["model"] for row in rows]  # the stages of a model are kept together
    return {
        "device": measure.device(),
        "before": before,
        "after": after,
        "runtimes": {row["runtime"]: row["version"] for row in timed},
        "threads": first,
        "more_threads": more,
        "runs": runs,
        "waveform": told,
        "data": Path(data).resolve().name if data is not None else None,
        "unreadable": unreadable,
        "rows": sorted(rows, key=lambda row: names.index(row["model"])),
    }


def _entries(models: Sequence[str | os.PathLike[str]]) -> list[_Entry]:
    entries: dict[Path, _Entry] = {}
    for given in map(Path, models):
        if given.is_dir():
            files = [given / "tflite" / f"model_{kind}.tflite" for kind in KINDS]
            found = [path for path in files if path.is_file()]
            if not found:
                raise UserError(
                    f"{given}: holds no tflite/model_float.tflite or model_int8.tflite; "
                    "give a finished run directory or a .tflite file"
                )
            results = given / "results" / "accuracy.json"
            judged = read_json(results) if results.is_file() else {}
            if not isinstance(judged, dict):
                raise UserError(f"{results}: must hold one object a stage; evaluate the run again")
        else:
            found, judged = [given], {}
        for path in found:
            entries.setdefault(path.resolve(), _Entry(path, judged))
    if not entries:
        raise UserError("give at least one .tflite file or run directory")
    return list(entries.values())


def _row(
    entry: _Entry, latency: dict[str, Any], runtimes: Sequence[str], threads: int
) -> dict[str, Any]:
    path = entry.path
    if all("error" in facts for facts in latency.values()):
        reasons = "; ".join(f"{runtime}: {facts['error']}" for runtime, facts in latency.items())
        raise UserError(f"{path}: runs in none of the runtimes ({reasons})")
    content = read_model(path)
    digest = sha256(content)
    _, card = split(content, source=path)
    stage, params = _kind(path, card)
    memory: dict[str, float | None] = {"peak_mib": None, "baseline_mib": None}
    if "error" not in latency[runtimes[0]]:
        memory = measure.peak_memory(path, runtime=runtimes[0], threads=threads)
    return {
        "model": card.name if card else path.stem,
        "file": path.name,
        "sha256": digest,
        "stage": stage,
        "params": params,
        **measure.sizes(path),
        "accuracy": _judged(entry, stage, digest),
        "latency": latency,
        "coverage": {
            runtime: measure.delegate_coverage(path, runtime=runtime, threads=threads)
            for runtime in runtimes
            if "error" not in latency[runtime]
        },
        **memory,
        "rtf": latency[runtimes[0]].get("rtf"),
    }


def _kind(path: Path, card: Card | None) -> tuple[str | None, int | None]:
    """(stage, params): counted in the file where its format can be read, else from the card.

    A file of others is "float" or "int8" if its layers are one or the other throughout.
    """
    if "ai_edge_litert" not in available_runtimes():  # which reads the format
        return (card.stage, card.params) if card else (None, None)
    summary = measure.model_summary(path)
    if card:
        return card.stage, summary["params"]
    layers = {kernel["op"] for kernel in summary["kernels"]}
    dtypes = {op["dtype"] for op in summary["ops"] if op["op"] in layers}
    stored = {row["dtype"] for row in summary["kernels"] if row["part"] == CLASSIFIER}
    if stored == {"INT8"} and "INT8" in dtypes:
        return "int8", summary["params"]
    return "float" if stored == {"FLOAT32"} else None, summary["params"]


def _judged(entry: _Entry, stage: str | None, digest: str) -> dict[str, Any] | None:
    """The accuracy that the run directory holds for this stage, unless it is of another file."""
    found = entry.judged.get(stage or "")
    if found is None:
        return None
    where = entry.path.parent.parent / "results" / "accuracy.json"
    try:
        low, high = found["interval"]
        facts = {
            "accuracy": float(found["accuracy"]),
            "n": int(found["n"]),
            "interval": [float(low), float(high)],
        }
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{where}: '{stage}' needs accuracy, n and interval; evaluate the run again"
        ) from error
    if found.get("sha256", digest) != digest:
        return None
    return {**facts, "source": where.name}


def markdown(results: dict[str, Any]) -> str:
    """The results as a Markdown table under the facts that belong to it.

    Args:
        results: Of `benchmark`.
    """
    device, runtimes = results["device"], results["runtimes"]
    versions = ", ".join(f"{name} {version}" for name, version in runtimes.items())
    facts = [
        f"Device: {device['cpu']} ({device['machine']}, {device['cores']} cores), {device['os']}, "
        f"Python {device['python']}, NumPy {device['numpy']}.",
        f"Runtimes: {versions}; threads: {results['threads']}; {results['runs']} timed runs each, "
        f"interleaved, on {results['waveform']}.",
    ]
    if results["unreadable"]:
        facts.append(f"{results['unreadable']} recordings could not be read and are not counted.")
    columns = ["model", "stage", "params", "size_bytes", "zip_bytes", "accuracy"]
    for name in runtimes:
        columns += [f"{name} p50_ms", f"{name} p90_ms", f"{name} delegated"]
        columns += [f"{name} p50_ms, {n} threads" for n in results.get("more_threads", ())]
    columns += ["rtf", "peak_mib", "baseline_mib", "sha256"]
    rule = ["---", "---", *["---:"] * (len(columns) - 3), "---"]
    more = results.get("more_threads", ())
    cells = [columns, rule, *(_cells(row, runtimes, more) for row in results["rows"])]
    table = "\n".join(f"| {' | '.join(line)} |" for line in cells)
    return "\n".join(facts) + "\n\n" + table + "\n"


def _cells(row: dict[str, Any], runtimes: Iterable[str], more_threads: Iterable[int]) -> list[str]:
    def shown(value: Any, form: str = "") -> str:
        return "" if value is None else format(value, form)

    cells = [row["model"].replace("|", "\\|"), shown(row["stage"]), shown(row["params"])]
    cells += [shown(row["size_bytes"]), shown(row["zip_bytes"]), _percent(row["accuracy"])]
    for name in runtimes:
        times, coverage = row["latency"].get(name, {}), row["coverage"].get(name)
        cells += [shown(times.get("p50_ms"), ".3f"), shown(times.get("p90_ms"), ".3f")]
        cells.append(f"{coverage['delegated']}/{coverage['ops']}" if coverage else "")
        by_threads = times.get("by_threads", {})
        cells += [shown(by_threads.get(str(n)), ".3f") for n in more_threads]
    cells += [shown(row["rtf"], ".2g"), shown(row["peak_mib"], ".1f")]
    return [*cells, shown(row["baseline_mib"], ".1f"), row["sha256"][:12]]


def _percent(accuracy: dict[str, Any] | None) -> str:
    if accuracy is None:
        return ""
    low, high = accuracy["interval"]
    share = accuracy["accuracy"]
    return f"{100 * share:.1f} % ({100 * low:.1f} to {100 * high:.1f}, n={accuracy['n']})"
