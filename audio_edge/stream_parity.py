"""Proof that a stream is the clip's model: held against it at every hop of recordings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from audio_edge import measure
from audio_edge.card import read_model, split
from audio_edge.errors import UserError
from audio_edge.interpreter import Interpreter, load
from audio_edge.stream_batch import StreamBatch
from audio_edge.streaming_interpreter import StreamingInterpreter

RUNS = 400
_SETTLE = 4
_BATCH = 256


def compare(
    stream: StreamingInterpreter | StreamBatch, score: Callable[[np.ndarray], np.ndarray],
    recordings: Mapping[str, np.ndarray],
) -> dict[str, Any]:  # fmt: skip
    """Push recordings through a stream; after each packet, ask the clip's model for the last clip.

    Every recording begins a new stream, with silence before it for the clip's model too. In a file
    of several streams each of them hears it, begun a packet after the one before.

    Args:
        stream: The streaming file.
        score: The clip's model: int16 [n, clip_samples] -> probs [n, classes].
        recordings: Name -> int16 [samples] at the model's rate.

    Returns:
        hops, max_delta, mean_delta (mean over hops of the greatest difference of a class of any
        stream), agreement (share of hops with the same top-1 in every stream), worst (recording and
        second); and, where the clip's model is a file, hop_ms (of one stream) and clip_ms, medians
        of invocations in turn, and cost, the one over the other.
    """
    deltas, agrees, places = [], [], []
    packet, clip = stream.packet_samples, stream.clip_samples
    for name, waveform in recordings.items():
        heard = _heard(stream, waveform)
        hops = heard.shape[1]
        if not hops:
            raise UserError(
                f"{name}: is shorter than a packet of {1000 * packet / stream.sample_rate:g} ms; "
                "give a longer recording"
            )
        padded = np.concatenate([np.zeros(clip, np.int16), waveform])
        windows = np.lib.stride_tricks.sliding_window_view(padded, clip)[packet::packet]
        for start in range(0, hops, _BATCH):
            some = heard[:, start : start + _BATCH]
            wanted = score(np.ascontiguousarray(windows[start : start + _BATCH][: some.shape[1]]))
            deltas.append(np.abs(some - wanted).max(axis=(0, 2)))
            agrees.append((some.argmax(axis=2) == wanted.argmax(axis=1)).all(axis=0))
        places += [
            f"{name} at {(hop + 1) * packet / stream.sample_rate:.2f} s" for hop in range(hops)
        ]
    delta, agree = np.concatenate(deltas), np.concatenate(agrees)
    worst = int(delta.argmax())
    result = {
        "hops": len(delta), "max_delta": float(delta[worst]), "mean_delta": float(delta.mean()),
        "agreement": float(agree.mean()), "worst": places[worst],
    }  # fmt: skip
    return {**result, **_cost(stream, score)} if isinstance(score, Interpreter) else result


def _heard(stream: StreamingInterpreter | StreamBatch, waveform: np.ndarray) -> np.ndarray:
    """Answers after every packet: [streams, hops, classes]."""
    if isinstance(stream, StreamingInterpreter):
        stream.reset()
        return stream.push(waveform)[None]
    hops = len(waveform) // stream.packet_samples
    packets = waveform[: hops * stream.packet_samples].reshape(hops, -1)
    heard = np.empty((stream.streams, hops, len(stream.labels)), np.float32)
    late = np.arange(stream.streams)
    for now in range(hops + stream.streams - 1 if hops else 0):
        if now < stream.streams:
            stream.reset(now)
        at = now - late  # before it begins and after it ends, a stream hears other sound
        probs = stream.push(packets[at % hops])
        within = (at >= 0) & (at < hops)
        heard[late[within], at[within]] = probs[within]
    return heard


def _cost(stream: StreamingInterpreter | StreamBatch, clip: Interpreter) -> dict[str, float]:
    """Time of a stream's hop and of a whole clip in the same runtime: the invocation alone."""
    runners = []
    noise = 0.1 * np.random.default_rng(0).normal(size=clip.clip_samples)
    for path in (stream.path, clip.path):
        model, _ = split(read_model(path), source=path)
        runners.append(load(model, stream.runtime, 1))
        measure.Session(runners[-1], noise).run(0)  # fills the inputs
    functions = [lambda _, runner=runner: runner.invoke() for runner in runners]
    seconds = measure.interleaved(functions, RUNS, settle=_SETTLE)
    hop_ms, clip_ms = (1000 * float(p50) for p50 in np.median(seconds, axis=0))
    hop_ms /= stream.card.streams
    return {"hop_ms": hop_ms, "clip_ms": clip_ms, "cost": hop_ms / clip_ms}
