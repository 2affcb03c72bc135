"""Making a row: its stages, from the one float stage, and its file."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import tf_keras as keras

from audio_edge import compress
from audio_edge.learner import Material
from audio_edge.run import Run

Callbacks = Callable[[str], Sequence[keras.callbacks.Callback]]


def stages(
    run: Run, material: Material, others: Sequence[Run], *,
    callbacks: Callbacks = lambda stage: (),
) -> list[str]:  # fmt: skip
    """Make the stages of a run that are not up to date; returns their names.

    Args:
        run: Of a row.
        material: Training and selection clips.
        others: Runs that may have the same stage already, which is then copied.
        callbacks: Further Keras callbacks of a stage.
    """
    data, made = material.index.fingerprint(), []
    for stage in run.stages:
        wanted = run.fingerprint(stage, data)
        if finished(run, stage, wanted):
            continue
        source = next((other for other in others if finished(other, stage, wanted)), None)
        if source is not None:
            run.save()
            copy(source.stage(stage), run.stage(stage))
            continue
        keras.backend.clear_session()  # the graphs of the stage before
        compress.MAKERS[stage](run, material, callbacks=callbacks(stage))
        made.append(stage)
    return made


def finished(run: Run, stage: str, wanted: str) -> bool:
    """Whether a stage is there with the fingerprint that is wanted."""
    record = run.record(stage)
    return bool(record and record["fingerprint"] == wanted)


def copy(source: Path, target: Path) -> None:
    """Copy a stage; what makes it finished comes last."""
    shutil.rmtree(target, ignore_errors=True)
    late = "stage.json"
    shutil.copytree(source, target, ignore=shutil.ignore_patterns(late, "checkpoints"))
    shutil.copy2(source / late, target / late)
