"""Proof that a stream is the clip's model: held against it at every hop of recordings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from audio_edge import measure
from audio_edge.card import read_model, split
from audio_edge.errors import UserError
from audio_edge.interpreter import Interpreter, load
from audio_edge.streaming_interpreter import StreamingInterpreter

RUNS = 400
_SETTLE = 4
_BATCH = 256


def compare(
    stream: StreamingInterpreter, score: Callable[[np.ndarray], np.ndarray],
    recordings: Mapping[str, np.ndarray],
) -> dict[str, Any]:  # fmt: skip
    """Push recordings through a stream; after each packet, ask the clip's model for the last clip.

    Every recording begins a new stream, with silence before it for the clip's model too.

    Args:
        stream: The streaming file.
        score: The clip's model: int16 [n, clip_samples] -> probs [n, classes].
        recordings: Name -> int16 [samples] at the model's rate.

    Returns:
        hops, max_delta, mean_delta (mean over hops of the greatest difference of a class),
        agreement (share of hops with the same top-1), worst (recording and second); and, where the
        clip's model is a file, hop_ms and clip_ms, medians of invocations in turn, and cost, the
        one over the other.
    """
    deltas, agrees, places = [], [], []
    packet, clip = stream.packet_samples, stream.clip_samples
    for name, waveform in recordings.items():
        stream.reset()
        heard = stream.push(waveform)
        if not len(heard):
            raise UserError(
                f"{name}: is shorter than a packet of {1000 * packet / stream.sample_rate:g} ms; "
                "give a longer recording"
            )
        padded = np.concatenate([np.zeros(clip, np.int16), waveform])
        windows = np.lib.stride_tricks.sliding_window_view(padded, clip)[packet::packet]
        for start in range(0, len(heard), _BATCH):
            some = heard[start : start + _BATCH]
            wanted = score(np.ascontiguousarray(windows[start : start + _BATCH][: len(some)]))
            deltas.append(np.abs(some - wanted).max(axis=1))
            agrees.append(some.argmax(axis=1) == wanted.argmax(axis=1))
        places += [
            f"{name} at {(hop + 1) * packet / stream.sample_rate:.2f} s"
            for hop in range(len(heard))
        ]
    delta, agree = np.concatenate(deltas), np.concatenate(agrees)
    worst = int(delta.argmax())
    result = {
        "hops": len(delta), "max_delta": float(delta[worst]), "mean_delta": float(delta.mean()),
        "agreement": float(agree.mean()), "worst": places[worst],
    }  # fmt: skip
    return {**result, **_cost(stream, score)} if isinstance(score, Interpreter) else result


def _cost(stream: StreamingInterpreter, clip: Interpreter) -> dict[str, float]:
    """Time of a hop and of a whole clip in the same runtime: the invocation alone."""
    runners = []
    noise = 0.1 * np.random.default_rng(0).normal(size=clip.clip_samples)
    for path in (stream.path, clip.path):
        model, _ = split(read_model(path), source=path)
        runners.append(load(model, stream.runtime, 1))
        measure.Session(runners[-1], noise).run(0)  # fills the inputs
    functions = [lambda _, runner=runner: runner.invoke() for runner in runners]
    seconds = measure.interleaved(functions, RUNS, settle=_SETTLE)
    hop_ms, clip_ms = (1000 * float(p50) for p50 in np.median(seconds, axis=0))
    return {"hop_ms": hop_ms, "clip_ms": clip_ms, "cost": hop_ms / clip_ms}
