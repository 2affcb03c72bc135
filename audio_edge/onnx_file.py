"""A trained stage as an ONNX file, for onnxruntime: waveforms [batch, clip_samples] in.

Needs tf2onnx, onnx and onnxruntime: the extra [onnx].
"""

from __future__ import annotations

import json
import logging
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from audio_edge import doors, export, files
from audio_edge.card import CARD_FILE, LABELS_FILE, Card
from audio_edge.errors import UserError, first_line
from audio_edge.run import Run

OPSET = 17


def convert(run: Run, target: Path, *, stage: str = "float", dft: str = "factored") -> Path:
    """Write an ONNX file, labels and card among its metadata.

    It maps waveform, float32 [batch, clip_samples] in [-1, 1], to probs, float32 [batch, labels].

    Args:
        run: The run.
        target: The file to write.
        stage: "float" or "pruned".
        dft: The form of the front end's transform.

    Raises:
        UserError: The stage or a package is missing, an op has no ONNX form, or what was written
            does not give in onnxruntime what Keras gives.
    """
    doors.check_stage(stage, "an ONNX file")
    onnx, _ = _packages()
    card = export.card_of(run, stage, dft)
    model = _translated(export.compose(run, stage, dft=dft), card.clip_samples, target)
    onnx.helper.set_model_props(
        model,
        {
            LABELS_FILE: "".join(f"{label}\n" for label in card.labels),
            CARD_FILE: json.dumps(card.to_dict(), ensure_ascii=False),
        },
    )
    with files.replacing(target) as draft:
        draft.write_bytes(model.SerializeToString(deterministic=True))
        doors.prove(scorer(draft), run, stage, target)
    return target


def _translated(model: Any, clip_samples: int, target: Path) -> Any:
    signature = [tf.TensorSpec([None, clip_samples], tf.float32, name="waveform")]
    function = tf.function(
        lambda waveform: tf.identity(model(waveform, training=False), name="probs"),
        input_signature=signature,
    )
    import tf2onnx

    level = logging.getLogger("tf2onnx").level
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of tf2onnx, about NumPy and TensorFlow
            made, _ = tf2onnx.convert.from_function(
                function, input_signature=signature, opset=OPSET
            )
    except (ValueError, RuntimeError, TypeError, KeyError) as error:
        raise UserError(
            f"{target}: not written, tf2onnx cannot translate it ({first_line(error)}); "
            "give --to saved_model or another model"
        ) from error
    finally:
        logging.getLogger("tf2onnx").setLevel(level)
    _name_output(made)
    return made


def _name_output(model: Any) -> None:
    """Call the output "probs", as everywhere, whatever tf2onnx has made of it."""
    [output] = model.graph.output
    for node in model.graph.node:
        for names in (node.input, node.output):
            for position, name in enumerate(names):
                if name == output.name:
                    names[position] = "probs"
    output.name = "probs"


def read_card(path: str | os.PathLike[str]) -> Card:
    """The card in the metadata of an ONNX file that `convert` wrote."""
    found = _session(path).get_modelmeta().custom_metadata_map
    try:
        return Card.from_dict(json.loads(found[CARD_FILE]))
    except (KeyError, ValueError) as error:
        raise UserError(
            f"{path}: no ONNX file of audio_edge ({first_line(error)}); convert it again"
        ) from error


def scorer(path: str | os.PathLike[str]) -> Callable[[np.ndarray], np.ndarray]:
    """A function float32 [n, clip_samples] -> probs [n, labels], in onnxruntime on the CPU."""
    session = _session(path)

    def score(waveforms: np.ndarray) -> np.ndarray:
        parts = [waveforms[start : start + 64] for start in range(0, len(waveforms), 64)]
        return np.concatenate([session.run(["probs"], {"waveform": part})[0] for part in parts])

    return score


def _session(path: str | os.PathLike[str]) -> Any:
    _, onnxruntime = _packages()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    try:
        content = Path(path).read_bytes()
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}); give the path of an .onnx file"
        ) from error
    except Exception as error:  # onnxruntime's own kinds share no base but this
        raise UserError(
            f"{path}: onnxruntime cannot load it ({first_line(error)}); convert it again"
        ) from error


def _packages() -> tuple[Any, Any]:
    try:
        import onnx
        import onnxruntime
        import tf2onnx  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"ONNX needs {error.name}, which is not installed; pip install 'audio_edge[onnx]'"
        ) from error
    return onnx, onnxruntime
