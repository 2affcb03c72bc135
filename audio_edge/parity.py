"""Proof that two models are the same network.

Per-clip difference of probabilities and top-1 agreement are held to limits; SNR and the paired
difference in accuracy are told. Of fewer than MANY clips the share that agrees says little, so it
is a breach only where so low a share would be rare (under 5 %) if the models agreed as often as
they must. A streaming file is held against one of clips at every hop of recordings too.
"""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from audio_edge import audio, evaluation, files, layers, metrics, paired, stream_parity
from audio_edge.datasets import noise
from audio_edge.datasets.pipeline import Split, silence_cuts
from audio_edge.errors import UserError
from audio_edge.run import locate
from audio_edge.stream_batch import StreamBatch
from audio_edge.streaming_interpreter import StreamingInterpreter
from audio_edge.summary import model_summary


@dataclass(frozen=True)
class Limits:
    """What two models may differ by.

    Attributes:
        max_delta: Greatest |p_a - p_b| of any class of any clip.
        min_agreement: Share of clips with the same top-1 class; of models that hear several classes
            at once, share of all their answers on the same side of 0.5. Of fewer than MANY clips
            it must also be no chance that it is below, see `agreement_tail`.
    """

    max_delta: float
    min_agreement: float

    def __post_init__(self) -> None:
        if not (0 <= self.max_delta <= 1 and 0 <= self.min_agreement <= 1):
            raise UserError(
                "--max-delta and --min-agreement must be in [0, 1]. "
                f"Received: {self.max_delta:g}, {self.min_agreement:g}"
            )


# float Keras against float file: rounding only
SAME_ARITHMETIC = Limits(1e-4, 0.999)
# fake-quantised Keras against int8 file: a step may fall the other way
FAKE_QUANT = Limits(0.15, 0.98)
# float against int8: other weights since pruning; a borderline clip may swing, most must agree
QUANTISED = Limits(1.0, 0.95)
# int8 stream against int8 clips: the same steps, but where a rounding of the front end decides
SAME_STEPS = Limits(0.15, 0.995)
JOINED_S = 60.0  # of clips end to end, where there are no recordings
MANY = 100  # clips from which the share itself counts
SIGNIFICANCE = 0.05  # of a breach of min_agreement, of fewer
WORST = 10  # clips told by name
LAYER_CLIPS = 50  # for the layers, which run without delegates


def limits_for(a: str | os.PathLike[str], b: str | os.PathLike[str]) -> Limits:
    """Default limits by what the two paths are: float, fake-quantised or int8."""
    kinds = {_kind(Path(a)), _kind(Path(b))}
    if len(kinds) == 1:
        return SAME_ARITHMETIC if kinds == {"float"} else FAKE_QUANT
    return FAKE_QUANT if "float" not in kinds else QUANTISED


def compare(
    a: str | os.PathLike[str], b: str | os.PathLike[str], *,
    data: str | os.PathLike[str] | None = None, split: str = "val", limits: Limits | None = None,
    recordings: Sequence[str | os.PathLike[str]] = (),
    runtimes: tuple[str | None, str | None] = (None, None), per_layer: bool = False,
    table: str | os.PathLike[str] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Hold model B against model A on the same clips.

    Args:
        a: `.tflite` file, run or stage: the reference.
        b: The other.
        data: Folder with one subfolder a label; None takes `split` of the run that A or B belongs
            to, or, outside any run, made-up noises at many levels.
        split: Of the run.
        limits: None takes `limits_for(a, b)`.
        recordings: Where one of the two is a stream and the other is not, what to hold them against
            each other on at every hop; none takes the clips, joined to `JOINED_S` seconds.
        runtimes: In which A and B run, if they are files; None takes the first installed.
        per_layer: Tell the SNR of every layer too, see `layers.layer_snr`; both must be files.
        table: Where to write the differences of every clip as CSV.

    Returns:
        n, max_delta, mean_delta (mean of per-clip greatest differences), mean_abs_delta (of all
        clips and classes), worst (the clips that differ most, with their greatest and mean
        difference), agreement with its interval (95 %, Wilson) and agreement_tail, snr_db,
        accuracy_a, accuracy_b and what `paired.compare` gives where labels are known, worst clip,
        limits, and ok; runtimes and layers where they were asked for; hops of
        `stream_parity.compare`, to which the limits apply too.

    Raises:
        UserError: The two have other labels or take other clips, or have no layers to tell.
    """
    score_a, labels_a, data_a = evaluation.scorer(a, runtime=runtimes[0])
    score_b, labels_b, data_b = evaluation.scorer(b, runtime=runtimes[1])
    if per_layer and not all(Path(path).suffix == ".tflite" for path in (a, b)):
        raise UserError(f"{a} and {b}: layers are told of two .tflite files; leave --per-layer out")
    if labels_a != labels_b:
        raise UserError(
            f"{a} and {b} do not know the same labels: "
            f"{evaluation.listed(labels_a)} / {evaluation.listed(labels_b)}"
        )
    if (data_a.sample_rate, data_a.clip_samples) != (data_b.sample_rate, data_b.clip_samples):
        raise UserError(
            f"{a} takes {data_a.clip_samples} samples at {data_a.sample_rate} Hz, "
            f"{b} takes {data_b.clip_samples} at {data_b.sample_rate} Hz; they cannot be compared"
        )
    clips = _clips(a, b, data, split, labels_a, data_a)
    probs_a, probs_b = score_a(clips.waveforms), score_b(clips.waveforms)
    apart = np.abs(probs_a - probs_b)
    delta, means = apart.max(axis=1), apart.mean(axis=1)
    agreement = _agreement(probs_a, probs_b, multi_label=data_a.multi_label)
    limits = limits or limits_for(a, b)
    worst = int(delta.argmax())
    agreed = math.ceil(agreement * len(delta) - 1e-9)  # of the answers of a clip, part of a clip
    tail = agreement_tail(agreed, len(delta), limits.min_agreement)
    snr = metrics.snr_db(probs_a, probs_b)
    rows = [
        {"clip": name, "max_delta": float(greatest), "mean_delta": float(mean)}
        for name, greatest, mean in zip(clips.names, delta, means, strict=True)
    ]
    result: dict[str, Any] = {
        "a": os.fspath(a), "b": os.fspath(b), "n": len(delta),
        "max_delta": float(delta[worst]), "mean_delta": float(delta.mean()),
        "mean_abs_delta": float(means.mean()), "agreement": agreement,
        "agreement_interval": list(metrics.wilson_interval(agreed, len(delta))),
        "agreement_tail": tail,
        "snr_db": round(snr, 2) if math.isfinite(snr) else None, "worst_clip": clips.names[worst],
        "limits": {"max_delta": limits.max_delta, "min_agreement": limits.min_agreement},
        "worst": [rows[place] for place in np.argsort(-delta, kind="stable")[:WORST]],
        "ok": bool(delta[worst] <= limits.max_delta and agrees(agreement, len(delta), limits)),
    }  # fmt: skip
    if runtimes != (None, None):
        result["runtimes"] = list(runtimes)
    if clips.labels.ndim == 1 and (clips.labels >= 0).all():
        right_a, right_b = (p.argmax(axis=1) == clips.labels for p in (probs_a, probs_b))
        result["accuracy_a"], result["accuracy_b"] = float(right_a.mean()), float(right_b.mean())
        result["paired"] = paired.compare(right_a, right_b)
    if per_layer:
        spread = np.linspace(0, len(delta) - 1, min(LAYER_CLIPS, len(delta))).astype(int)
        result["layers"] = layers.layer_snr(a, b, clips.waveforms[spread])
    stream, clip = (score_a, score_b) if _streams(score_a) else (score_b, score_a)
    if isinstance(stream, StreamingInterpreter | StreamBatch) and not _streams(clip):
        heard = {os.fspath(path): _read(path, data_a.sample_rate) for path in recordings}
        heard = heard or {"clips": _joined(clips, data_a.sample_rate)}
        hops = stream_parity.compare(stream, clip, heard)
        least = max(limits.min_agreement, SAME_STEPS.min_agreement)
        result["hops"] = hops
        result["ok"] &= hops["max_delta"] <= limits.max_delta and hops["agreement"] >= least
    elif recordings:
        raise UserError("--recordings is for a streaming file against one of clips; leave it out")
    if table is not None:
        with files.replacing(table) as draft, draft.open("w", newline="", encoding="utf-8") as out:
            _write(rows, out)
    return result


def agrees(share: float, n: int, limits: Limits) -> bool:
    """Whether so many of n clips agree as must; of fewer than MANY, or as chance allows."""
    if share >= limits.min_agreement - 1e-9:
        return True
    agreed = math.ceil(share * n - 1e-9)
    return n < MANY and agreement_tail(agreed, n, limits.min_agreement) >= SIGNIFICANCE


def agreement_tail(agreed: int, n: int, share: float) -> float:
    """Probability that at most `agreed` of n clips agree, if each does so with this probability.

    The lower tail of the binomial distribution, exact but for rounding. 1 where all agree.

    Args:
        agreed: Clips that agree, 0 to n.
        n: Clips, > 0.
        share: Probability, in [0, 1].
    """
    if agreed >= n or share == 0:
        return 1.0
    if share == 1:
        return 0.0
    whole, odds = math.lgamma(n + 1), (math.log(share), math.log1p(-share))
    terms = (
        whole - math.lgamma(k + 1) - math.lgamma(n - k + 1) + k * odds[0] + (n - k) * odds[1]
        for k in range(agreed + 1)
    )
    return min(1.0, math.fsum(math.exp(term) for term in terms))


def _write(rows: list[dict[str, Any]], out: TextIO) -> None:
    writer = csv.DictWriter(out, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)


def _streams(score: Any) -> bool:
    return isinstance(score, StreamingInterpreter | StreamBatch)


def _read(path: str | os.PathLike[str], sample_rate: int) -> np.ndarray:
    return audio.to_int16(audio.read(path, sample_rate=sample_rate)[0])


def _joined(clips: Split, sample_rate: int) -> np.ndarray:
    """Clips in any order, end to end."""
    order = np.random.default_rng(0).permutation(len(clips.waveforms))
    return np.concatenate([clips.waveforms[n] for n in order])[: round(JOINED_S * sample_rate)]


def _agreement(probs_a: np.ndarray, probs_b: np.ndarray, *, multi_label: bool) -> float:
    if multi_label:
        return float(((probs_a >= 0.5) == (probs_b >= 0.5)).mean())
    return float((probs_a.argmax(axis=1) == probs_b.argmax(axis=1)).mean())


def _clips(a: Any, b: Any, data: Any, split: str, labels: tuple[str, ...], settings: Any) -> Split:
    if data is not None:
        return evaluation.clips_of_folder(Path(data), labels, settings)[0]
    for path in (a, b):
        if locate(path):
            return evaluation.clips_of_run(path, split, labels, settings)
    bank = noise.noises(settings.sample_rate, max(5.0, 2 * settings.clip_s), 0)
    cuts, names = silence_cuts(bank, settings.clip_samples)
    return Split(audio.to_int16(cuts), np.full(len(cuts), -1, np.int64), names)


def _kind(path: Path) -> str:
    """float, qat (fake-quantised Keras) or int8."""
    found = locate(path)
    if found and path.is_dir():
        return "qat" if found[1] == "qat" else "float"
    if path.suffix != ".tflite":
        return "float"  # ONNX and SavedModel
    types = {kernel["dtype"] for kernel in model_summary(path)["kernels"]}
    return "int8" if "INT8" in types else "float"
