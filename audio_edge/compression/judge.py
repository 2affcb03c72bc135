"""A row's file and what it is worth: made, held against its claims, judged on the test clips."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from audio_edge import claims, compress, evaluation, export, files, measure, paired
from audio_edge.compression.rows import Row
from audio_edge.datasets.pipeline import Split
from audio_edge.errors import UserError
from audio_edge.run import Run
from audio_edge.summary import model_summary


def judged(row: Row, run: Run, clips: Split, *, dft: str) -> dict[str, Any]:
    """Convert the last stage of a row and judge the file, unless that has been done.

    Args:
        row: What is asked for.
        run: Of it, its stages finished.
        clips: Of the test split.
        dft: The form of the front end's transform.

    Returns:
        name, told, kind, file, sha256, params, size_bytes, zip_bytes, classifier_bytes, accuracy,
        interval, n, right (a 0 or 1 for each clip), selection (accuracy of the last trained stage
        on the selection clips) and found (of `claims.check`).

    Raises:
        UserError: The file is not what it claims.
    """
    stage = run.stages[-1]
    trained = run.require(stage)
    settings = [row.config.to_dict()["quantize"], row.kind, dft]
    key = files.fingerprint([trained["fingerprint"], settings, clips.names])
    path, where = run.model(row.kind), run.dir / "row.json"
    kept = files.read_json(where, dict) if where.exists() else {}
    sha256 = files.sha256(path.read_bytes()) if path.exists() else None
    if kept.get("key") == key and kept.get("sha256") == sha256:
        return kept
    export.convert(run, row.kind, dft=dft)
    summary = model_summary(path)
    wanted = claims.of(compress.load(run, stage), run.config, stage, run.stages)
    score, labels, _ = evaluation.scorer(path)
    figures, probs = evaluation.evaluate(score, labels, clips)
    if clips.labels.ndim == 2:
        raise UserError("clips of several labels have no paired test; give another config")
    made = {
        "key": key, "name": row.name, "told": row.told, "kind": row.kind, "file": str(path),
        "sha256": files.sha256(path.read_bytes()), "params": summary["params"],
        **measure.sizes(path), "classifier_bytes": summary["parts"]["classifier"]["bytes"],
        **{name: figures[name] for name in ("accuracy", "interval", "n")},
        "right": (probs.argmax(axis=1) == clips.labels).astype(int).tolist(),
        "selection": trained.get("val_accuracy"), "found": claims.check(summary, wanted, row.kind),
    }  # fmt: skip
    files.write_json(where, made)
    return made


def against(original: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
    """What a row loses against the float original, on the same clips: of `paired.compare`."""
    return paired.compare(original["right"], row["right"])


def peers(folder: Path | None) -> list[Path]:
    """The finished models of others, to stand beside the rows."""
    if folder is None:
        return []
    found = sorted(folder.glob("*.tflite"))
    if not found:
        raise UserError(f"{folder}: holds no .tflite file; give a folder of finished models")
    return found
