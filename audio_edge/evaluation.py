"""Judging a model, a trained stage or a `.tflite` file alike, on clips that training never saw."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from audio_edge import export, files, metrics, multilabel, onnx_file, paired, saved_model
from audio_edge.config import UNKNOWN, Config, DataConfig
from audio_edge.datasets import index as index_module
from audio_edge.datasets import pipeline
from audio_edge.datasets.index import NOISE_FOLDER
from audio_edge.datasets.pipeline import Split
from audio_edge.errors import UserError
from audio_edge.run import locate
from audio_edge.streaming_interpreter import open_model

Scorer = Callable[[np.ndarray], np.ndarray]


def scorer(
    path: str | os.PathLike[str], *, runtime: str | None = None
) -> tuple[Scorer, tuple[str, ...], DataConfig]:
    """A function int16 [n, clip_samples] -> probs [n, classes], the labels, and how clips are cut.

    Args:
        path: A `.tflite` file, a run directory (its last trained stage) or a stage of it, an
            `.onnx` file or a SavedModel.
        runtime: For a file: the runtime; None takes the first installed.
    """
    target = Path(path)
    if target.suffix == ".onnx" or saved_model.is_saved_model(target):
        return _scorer_of_door(target, runtime)
    if target.is_dir():
        found = locate(target)
        if found is None:
            raise UserError(f"{path}: neither a run, nor a stage of one, nor a .tflite file")
        if runtime is not None:
            raise UserError(f"{path}: a runtime runs .tflite files only; leave --runtime out")
        run, stage = found
        record = run.require(stage)
        model = export.compose(run, stage)

        def score(clips: np.ndarray) -> np.ndarray:
            parts = (clips[start : start + 64] for start in range(0, len(clips), 64))
            batches = (part.astype(np.float32) / 32768.0 for part in parts)
            return np.concatenate([model(batch, training=False).numpy() for batch in batches])

        return score, tuple(record["labels"]), run.config.data
    interpreter = open_model(target, runtime=runtime)
    rate = interpreter.sample_rate
    several = interpreter.card is not None and interpreter.card.multi_label
    data = DataConfig(
        kind="audioset" if several else "folder",
        sample_rate=rate,
        clip_s=interpreter.clip_samples / rate,
    )
    return interpreter, interpreter.labels, data


def _scorer_of_door(path: Path, runtime: str | None) -> tuple[Scorer, tuple[str, ...], DataConfig]:
    door = onnx_file if path.suffix == ".onnx" else saved_model
    if runtime is not None:
        raise UserError(f"{path}: a runtime runs .tflite files only; leave --runtime out")
    card, score = door.read_card(path), door.scorer(path)
    data = DataConfig(
        kind="audioset" if card.multi_label else "folder",
        sample_rate=card.sample_rate,
        clip_s=card.clip_samples / card.sample_rate,
    )
    return lambda clips: score(clips.astype(np.float32) / 32768.0), card.labels, data


def clips_of_run(
    path: str | os.PathLike[str], split: str, labels: tuple[str, ...], data: DataConfig
) -> Split:
    """The clips of one split of the run that a stage or a file belongs to.

    Args:
        path: The stage or file.
        split: "train", "val" or "test".
        labels: Of the model; those of the run must be the same, in the same order.
        data: How the model's clips are cut, which must be how the run cuts them.
    """
    found = locate(path)
    if found is None:
        raise UserError(
            f"{path}: belongs to no run, so it has no --split; "
            "give a FOLDER with one subfolder a label"
        )
    config: Config = found[0].config
    index = pipeline.index(config)
    if index.labels != labels:
        raise UserError(
            f"{path}: knows {listed(labels)}, but the data of its run {listed(index.labels)}; "
            "give a FOLDER with one subfolder a label"
        )
    cuts = [(item.sample_rate, item.clip_samples) for item in (data, config.data)]
    if cuts[0] != cuts[1]:
        raise UserError(
            f"{path}: takes {cuts[0][1]} samples at {cuts[0][0]} Hz, but its run is of "
            f"{cuts[1][1]} at {cuts[1][0]} Hz; give a FOLDER with one subfolder a label"
        )
    return pipeline.load(config, index, split)


def listed(names: Sequence[str], most: int = 8) -> str:
    """Names for a message, the first few of many."""
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest


def clips_of_folder(
    folder: Path, labels: tuple[str, ...], data: DataConfig
) -> tuple[Split, list[str]]:
    """The clips of a folder with one subfolder a label, and the subfolders left out.

    A subfolder that is no label counts as "unknown" where the model has that class.
    """
    found = index_module.folders(folder, "FOLDER")
    found.pop(NOISE_FOLDER, None)
    target = {name: name if name in labels else UNKNOWN for name in found}
    left_out = [name for name, label in target.items() if label not in labels]
    rows = [
        (path, labels.index(target[name]))
        for name, paths in found.items()
        if name not in left_out
        for path in paths
    ]
    if not rows:
        raise UserError(
            f"{folder}: no subfolder is a label of the model ({listed(labels)}); "
            f"found {listed(list(found))}"
        )
    return pipeline.load_folder(folder, data, rows), left_out


def evaluate(
    score: Scorer, labels: tuple[str, ...], clips: Split
) -> tuple[dict[str, Any], np.ndarray]:
    """Judge a model on clips: (what `metrics.evaluate` gives, probs [n, classes]).

    Of clips that may have several labels each, what `multilabel.evaluate` gives.
    """
    if not len(clips.labels):
        raise UserError("no clip is left to judge by; give more recordings")
    probs = score(clips.waveforms)
    if not np.isfinite(probs).all():
        worst = clips.names[int(np.flatnonzero(~np.isfinite(probs).all(axis=1))[0])]
        raise UserError(f"{worst}: the model gives NaN or infinity; train or export it again")
    judge = metrics.evaluate if clips.labels.ndim == 1 else multilabel.evaluate
    return judge(clips.labels, probs, labels), probs


def against(
    path: str | os.PathLike[str], labels: tuple[str, ...], data: DataConfig, clips: Split,
    probs: np.ndarray, *, runtime: str | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Hold a judged model, A, against another, B, on the same clips: what `paired.compare` gives.

    Args:
        path: Model B.
        labels: Of A; B must know the same, in any order.
        data: How the clips of A are cut; B must take the same.
        clips: What A was judged on.
        probs: float [n, classes] of A.
        runtime: Of a file; a trained stage runs in TensorFlow.
    """
    if clips.labels.ndim == 2:
        raise UserError("--against compares models of one label a clip; leave it out")
    score, known, cut = scorer(path, runtime=None if Path(path).is_dir() else runtime)
    if sorted(known) != sorted(labels):
        raise UserError(
            f"{path}: knows {listed(known)}, but MODEL {listed(labels)}; "
            "give one of the same labels"
        )
    if (cut.sample_rate, cut.clip_samples) != (data.sample_rate, data.clip_samples):
        raise UserError(
            f"{path}: takes {cut.clip_samples} samples at {cut.sample_rate} Hz, but MODEL "
            f"{data.clip_samples} at {data.sample_rate} Hz; give one that takes the same"
        )
    heard = np.array([labels.index(label) for label in known])[
        score(clips.waveforms).argmax(axis=1)
    ]
    return paired.compare(probs.argmax(axis=1) == clips.labels, heard == clips.labels)


def write_csv(
    path: str | os.PathLike[str], clips: Split, probs: np.ndarray, labels: tuple[str, ...]
) -> None:
    """One row a file: name, truth, what was heard, and the score of every label."""
    with (
        files.replacing(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8", errors="backslashreplace") as handle,
    ):
        writer = csv.writer(handle)
        writer.writerow(["file", "label", "heard", *labels])
        for name, truth, row in zip(clips.names, clips.labels, probs, strict=True):
            heard, scores = labels[int(row.argmax())], [f"{value:.6f}" for value in row]
            said = [labels[n] for n in np.flatnonzero(truth)] if truth.ndim else [labels[truth]]
            writer.writerow([name, " + ".join(said), heard, *scores])
