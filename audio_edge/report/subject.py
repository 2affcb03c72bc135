"""What a report is about: the model that was judged, and how its stages were trained."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audio_edge import files
from audio_edge.errors import UserError
from audio_edge.interpreter import Interpreter, version_of
from audio_edge.run import TRAINED, locate
from audio_edge.summary import model_summary


@dataclass(frozen=True)
class Subject:
    """The model that was judged.

    Attributes:
        name: Of the run, or of the file.
        stage: "float", "pruned", "qat" or "int8"; "" of a file without a card.
        params: Trained parameters of the classifier.
        size_bytes: Bytes of `file`.
        file: The name of the model's file, or of the stage's weights.
        runtime: What ran it, with its version.
    """

    name: str
    stage: str
    params: int
    size_bytes: int
    file: str
    runtime: str


def subject(path: str | os.PathLike[str], score: Callable[..., Any]) -> Subject:
    """Describe a model.

    Args:
        path: A run, a stage of one or a `.tflite` file.
        score: What `evaluation.scorer` gives for it.
    """
    if isinstance(score, Interpreter):
        size = Path(path).stat().st_size
        runtime = f"{score.runtime} {score.runtime_version}"
        card, file = score.card, Path(path).name
        if card is None:
            params = int(model_summary(path)["params"])
            return Subject(Path(path).stem, "", params, size, file, runtime)
        return Subject(card.name, card.stage, card.params, size, file, runtime)
    found = locate(path)
    if found is None:
        raise UserError(f"{path}: neither a run, nor a stage of one, nor a .tflite file")
    run, stage = found
    weights = run.stage(stage) / "weights.h5"
    return Subject(
        run.config.run.name, stage, run.require(stage)["params"], weights.stat().st_size,
        f"{stage}/{weights.name}", f"tensorflow {version_of('tensorflow')}",
    )  # fmt: skip


def histories(path: str | os.PathLike[str]) -> dict[str, list[dict[str, float]]]:
    """The figures of each epoch of each finished stage of the run that a model belongs to.

    Returns:
        stage -> [{"loss": ..., "val_loss": ..., ...}, ...]; nothing for a model outside any run.
    """
    found = locate(path)
    curves: dict[str, list[dict[str, float]]] = {}
    for stage in TRAINED if found else ():
        where = found[0].stage(stage) / "history.json" if found else Path()
        if not where.exists():
            continue
        rows = files.read_json(where, list)
        if not all(isinstance(row, dict) for row in rows):
            raise UserError(f"{where}: damaged, it must hold one object an epoch; delete it")
        curves[stage] = [
            {str(key): float(value) for key, value in row.items() if isinstance(value, int | float)}
            for row in rows
        ]
    return {stage: rows for stage, rows in curves.items() if rows}
