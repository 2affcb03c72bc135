"""The architectures side by side: parameters, multiplications, int8 bytes, latency, delegation.

Untrained models of the default front end and one second, for what does not depend on training.
Accuracy comes from run directories; what was not measured is None in the results and blank in the
table.
"""

from __future__ import annotations

import dataclasses
import math
import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tf_keras as keras

from audio_edge import classifiers, files, measure, untrained
from audio_edge.config import Config
from audio_edge.errors import UserError
from audio_edge.models import MODELS
from audio_edge.run import Run
from audio_edge.summary import CLASSIFIER

# Name -> (width, depth): the size of each paper, and one or two around it.
SIZES: dict[str, tuple[tuple[int, int], ...]] = {
    "ds_cnn": ((32, 4), (64, 4), (96, 6)),
    "bc_resnet": ((8, 2), (16, 2), (24, 2)),
    "tc_resnet": ((16, 1), (16, 2), (24, 2)),
    "mobile_cnn": ((8, 1), (16, 1), (16, 2)),
    "mobile_tcn": ((32, 1), (48, 2), (64, 3)),
    "crnn": ((32, 1), (64, 1), (64, 2)),
    "kwt": ((32, 4), (64, 4), (64, 12)),
    "yamnet": ((32, 5),),
    "conv_pool": ((32, 1), (32, 3)),
}
CLASSES = 12


def table(
    *,
    names: Sequence[str] = (),
    directories: Sequence[str | os.PathLike[str]] = (),
    runs: int = 200,
    threads: int = 1,
    progress: Callable[[Sequence[Any]], Iterable[Any]] = iter,
) -> dict[str, Any]:
    """Build, convert and time every model at its sizes, interleaved in one run.

    Args:
        names: Of `MODELS`; empty takes all.
        directories: Run directories, whose int8 file is measured, with the accuracy that their
            results/accuracy.json holds; if any are given, no names mean no untrained models.
        runs: Timed runs of each, at least 100.
        threads: Threads of the interpreters.
        progress: Wraps what is converted and the rounds, as tqdm does.

    Returns:
        device, threads, runs and rows. A row: model, width, depth, params, macs, int8_bytes (of
        the classifier's constants), size_bytes and zip_bytes (of the file), accuracy (or None),
        latency {runtime: p50_ms, p90_ms or error}, delegated {runtime: share}.

    Raises:
        UserError: A name is unknown, a run directory is not finished, or too few runs.
    """
    measure.check_runs(runs)
    unknown = [name for name in names if name not in MODELS]
    if unknown:
        raise UserError(f"no model is called '{unknown[0]}'; known: {', '.join(MODELS)}")
    sizes = [
        (name, *size)
        for name in names or ([] if directories else MODELS)
        for size in SIZES.get(name, ((64, 4),))
    ]
    rows, paths = [], []
    for directory in directories:
        row, path = _of_run(Path(directory))
        rows.append(row)
        paths.append(path)
    with tempfile.TemporaryDirectory() as folder:
        for name, width, depth in progress(sizes):
            row, path = _untrained(Path(folder) / f"{name}_{width}_{depth}", name, width, depth)
            rows.append(row)
            paths.append(path)
        noise = np.random.default_rng(0).normal(scale=0.05, size=16000)
        times = measure.latency(paths, noise, runs=runs, threads=threads, progress=progress)
        for timed in times:
            row, runtime = rows[paths.index(Path(timed["path"]))], timed["runtime"]
            row["latency"][runtime] = {
                key: timed[key] for key in ("p50_ms", "p90_ms", "error") if key in timed
            }
            if "error" not in timed:
                covered = measure.delegate_coverage(timed["path"], runtime=runtime)
                row["delegated"][runtime] = covered["share"]
    return {"device": measure.device(), "threads": threads, "runs": runs, "rows": rows}


def macs(model: keras.Model) -> int:
    """Multiplications of the convolutions and dense layers for one clip; other ops are left out."""
    count = 0
    for layer in model.layers:
        if isinstance(layer, keras.layers.DepthwiseConv2D):
            count += math.prod(layer.kernel_size) * math.prod(layer.output.shape[1:])
        elif isinstance(layer, (keras.layers.Conv2D, keras.layers.Dense)):
            kernel = layer.kernel.shape
            count += math.prod(kernel) * math.prod(layer.output.shape[1:-1])
    return int(count)


def markdown(results: dict[str, Any]) -> str:
    """The results as a Markdown table, below a line that says where they were measured."""
    device = results["device"]
    versions = device["runtimes"]
    used = list(dict.fromkeys(name for row in results["rows"] for name in row["latency"]))
    runtimes = ", ".join(f"{name} {versions[name]}" for name in used)
    facts = (
        f"Device: {device['cpu']} ({device['machine']}, {device['cores']} cores), {device['os']}, "
        f"Python {device['python']}. Runtimes: {runtimes}; threads: {results['threads']}; "
        f"{results['runs']} timed runs each, interleaved, front end included."
    )
    columns = ["model", "width", "depth", "params", "MMAC", "int8_bytes", "accuracy"]
    for name in used:
        columns += [f"{name} p50_ms", f"{name} delegated"]
    cells = [columns, ["---", *["---:"] * (len(columns) - 1)]]
    for row in results["rows"]:
        line = [row["model"], row["width"], row["depth"], row["params"]]
        line += [f"{row['macs'] / 1e6:.2f}", row["int8_bytes"]]
        line.append("" if row["accuracy"] is None else f"{100 * row['accuracy']:.1f} %")
        for name in used:
            p50, share = row["latency"][name].get("p50_ms"), row["delegated"].get(name)
            line += ["" if p50 is None else f"{p50:.3f}", "" if share is None else f"{share:.2f}"]
        cells.append([str(cell) for cell in line])
    return facts + "\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in cells) + "\n"


def _row(config: Config, n_classes: int, path: Path, accuracy: float | None) -> dict[str, Any]:
    keras.backend.clear_session()
    classifier = classifiers.build(config, n_classes, dropout=False)
    return {
        "model": config.model.name, "width": config.model.width, "depth": config.model.depth,
        "params": int(classifier.count_params()), "macs": macs(classifier),
        "int8_bytes": measure.model_summary(path)["parts"][CLASSIFIER]["bytes"],
        **measure.sizes(path), "accuracy": accuracy, "latency": {}, "delegated": {},
    }  # fmt: skip


def _of_run(folder: Path) -> tuple[dict[str, Any], Path]:
    """The row and the int8 file of a run directory, with the accuracy that it holds."""
    run = Run.open(folder)
    path = run.model("int8")
    if not path.is_file():
        raise UserError(f"{path}: does not exist; finish it with python -m training.run")
    where = run.results / "accuracy.json"
    found = files.read_json(where, dict).get("int8") if where.is_file() else None
    if found is not None and not isinstance(found.get("accuracy"), float):
        raise UserError(f"{where}: damaged, int8 must hold accuracy; delete it and run again")
    owners = run.require("qat")["output_labels"]
    return _row(run.config, len(owners), path, found and found["accuracy"]), path


def _untrained(folder: Path, name: str, width: int, depth: int) -> tuple[dict[str, Any], Path]:
    """The row and the int8 file of a model as it is before training."""
    base = Config()
    model = dataclasses.replace(base.model, name=name, width=width, depth=depth, padding="causal")
    config = dataclasses.replace(base, run=dataclasses.replace(base.run, name=name), model=model)
    path = untrained.convert(config, [f"class_{number}" for number in range(CLASSES)], folder)
    return _row(config, CLASSES, path, None), path
