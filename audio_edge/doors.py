"""What the other forms of a model have in common: the clips that prove them, and the proof.

A form other than `.tflite` holds the whole network too, waveform [batch, clip_samples] in, probs
[batch, labels] out, and gets its name only once it has given what Keras gives.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np

from audio_edge import audio, export
from audio_edge.config import DataConfig
from audio_edge.datasets import noise, pipeline
from audio_edge.errors import UserError
from audio_edge.run import Run

AGREEMENT = 1e-4  # greatest |p_a - p_b|: float32 in another order of sums
CLIPS = 100
STAGES = ("float", "pruned")


def clips(run: Run) -> np.ndarray:
    """int16 [CLIPS, clip_samples]: of the run's selection clips, as far as there are any.

    Where they are not at hand, and for the rest, made-up noises at many levels.
    """
    data = run.config.data
    try:
        found = pipeline.load(run.config, pipeline.index(run.config), "val").waveforms
    except UserError:  # the recordings need not lie where a model is converted
        found = np.empty((0, data.clip_samples), np.int16)
    spread = np.linspace(0, len(found) - 1, min(CLIPS, len(found))).astype(int)
    return np.concatenate([found[spread], made_up(data, CLIPS - len(spread))])


def made_up(data: DataConfig, count: int) -> np.ndarray:
    """int16 [count, clip_samples] of noises, digital silence among them."""
    bank = noise.noises(data.sample_rate, max(5.0, 2 * data.clip_s), 0)
    cuts, _ = pipeline.silence_cuts(bank, data.clip_samples)
    return np.resize(audio.to_int16(cuts), (count, data.clip_samples))


def check_stage(stage: str, kind: str) -> None:
    """Only what was trained in float has another form; fake quantisation is for `.tflite`."""
    if stage not in STAGES:
        raise UserError(f"stage '{stage}' cannot become {kind}; give DIR/float or DIR/pruned")


def prove(
    score: Callable[[np.ndarray], np.ndarray], run: Run, stage: str,
    target: str | os.PathLike[str],
) -> None:  # fmt: skip
    """Refuse a form that does not give what Keras gives.

    Args:
        score: float32 [n, clip_samples] -> probs [n, labels] of the form.
        run: The run.
        stage: What it was made from.
        target: Its name to be.

    Raises:
        UserError: It differs by more than `AGREEMENT` on some clip, or gives NaN.
    """
    waveforms = clips(run).astype(np.float32) / 32768.0
    expected = export.compose(run, stage)(waveforms, training=False).numpy()
    delta = float(np.abs(score(waveforms) - expected).max())
    if not delta <= AGREEMENT:
        raise UserError(
            f"{target}: not written, it differs from Keras by {delta:.2g} "
            f"on {len(waveforms)} clips (at most {AGREEMENT:g}); report it with the config"
        )
