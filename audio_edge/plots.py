"""Pictures of detections and of confusions."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from audio_edge import mel
from audio_edge.canvas import COLOURS, figure_class, save

if TYPE_CHECKING:
    from audio_edge.detector import Detection
    from audio_edge.truth import Word

RANGE_DB = 60.0  # what is shown


def detections(
    path: str | os.PathLike[str],
    waveform: np.ndarray,
    sample_rate: int,
    detections: Sequence[Detection],
    truth: Sequence[Word] | None = None,
    *,
    scores: tuple[np.ndarray, np.ndarray, Sequence[str]] | None = None,
    threshold: float | None = None,
) -> None:
    """Draw a recording's log-mel spectrogram with what was heard in it.

    Args:
        path: Picture to write; its ending names the format.
        waveform: float [samples] in [-1, 1].
        sample_rate: Hz.
        detections: Drawn as lines with label and score.
        truth: Words that were said; a bar over each one's time.
        scores: (float [n] seconds, float [n, classes] smoothed scores, labels), drawn as curves
            below the spectrogram for the labels that rise above 0.3.
        threshold: Drawn across the curves.

    Raises:
        UserError: matplotlib is missing, or the format is unknown.
    """
    length_s = len(waveform) / sample_rate
    rows = [3.0, 1.3] if scores else [3.0]
    width = float(np.clip(4 + 0.6 * length_s, 9, 26))
    figure = figure_class()(figsize=(width, 1.5 + sum(rows)), layout="constrained")
    axes = figure.subplots(len(rows), 1, sharex=True, squeeze=False, height_ratios=rows)[:, 0]
    colour = _colours(detections, truth)
    _spectrogram(figure, axes[0], waveform, sample_rate)
    lanes = _lanes([heard.time_s for heard in detections], apart=length_s / width)
    for heard, lane in zip(detections, lanes, strict=True):
        for axis in axes:
            axis.axvline(heard.time_s, color="white" if axis is axes[0] else "0.6", lw=1, ls="--")
        axes[0].annotate(
            f"{heard.label} {heard.score:.2f}", (heard.time_s, 0.97 - 0.09 * lane),
            xycoords=("data", "axes fraction"), ha="center", va="top", fontsize=9, color="white",
            bbox={"boxstyle": "round", "fc": colour[heard.label], "ec": "white", "lw": 0.6},
        )  # fmt: skip
    if truth:
        axes[0].annotate(
            "said  ", (0, 1.05), xycoords="axes fraction", ha="right", va="bottom",
            fontsize=9, color="0.4",
        )  # fmt: skip
    for word in truth or ():
        box = {"ymin": 1.01, "ymax": 1.04, "color": colour[word.label], "clip_on": False, "lw": 0}
        axes[0].axvspan(word.start_s, max(word.end_s, word.start_s + 0.02), **box)
        axes[0].annotate(
            word.label, (word.middle_s, 1.05), xycoords=("data", "axes fraction"),
            ha="center", va="bottom", fontsize=9, color=colour[word.label],
        )  # fmt: skip
    if scores:
        _curves(axes[1], scores, threshold, colour)
    axes[-1].set_xlabel("time in s")
    axes[-1].set_xlim(0, length_s)
    save(figure, path)


def confusion(
    path: str | os.PathLike[str], matrix: Sequence[Sequence[int]], labels: Sequence[str]
) -> None:
    """Draw a confusion matrix: shares of each row as shade, counts as numbers.

    Args:
        path: PNG to write, atomically.
        matrix: Counts [classes, classes], row the truth, column what was heard.
        labels: Class names.
    """
    save(confusion_figure(matrix, labels), path)


def confusion_figure(matrix: Sequence[Sequence[int]] | np.ndarray, labels: Sequence[str]) -> Any:
    """As `confusion`, the figure itself."""
    counts = np.asarray(matrix)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = max(4.0, 0.55 * len(labels) + 1.8)
    figure = figure_class()(figsize=(size, size), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in zip(*np.nonzero(counts), strict=True):
        colour = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, str(counts[row, column]), ha="center", va="center", color=colour)
    axes.set_xticks(range(len(labels)), labels, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(labels)), labels)
    axes.set_xlabel("heard")
    axes.set_ylabel("said")
    right = np.trace(counts) / max(1, counts.sum())
    axes.set_title(f"{100 * right:.1f} % of {counts.sum()} right", fontsize=11)
    return figure


def _spectrogram(figure: Any, axis: Any, waveform: np.ndarray, sample_rate: int) -> None:
    """Log-mel power in dB, frames of 32 ms; the frequency axis is in Hz on the mel scale."""
    frame_length = 1 << round(np.log2(0.032 * sample_rate))
    hop_length = max(sample_rate // 100, len(waveform) // 4000)  # at most 4000 columns
    padded = np.pad(np.asarray(waveform, np.float64), (frame_length // 2, frame_length))
    power_db = mel.logmel(
        padded, sample_rate=sample_rate, frame_length=frame_length, hop_length=hop_length,
        n_fft=2 * frame_length, n_mels=64, fmin=50.0, log_floor=1e-9,
    ) * (10 / np.log(10))  # fmt: skip
    power_db -= power_db.max()
    bottom_mel, top_mel = mel.hz_to_mel(50.0), mel.hz_to_mel(sample_rate / 2)
    end_s = len(power_db) * hop_length / sample_rate
    image = axis.imshow(
        power_db.T, origin="lower", aspect="auto", cmap="magma", vmin=-RANGE_DB, vmax=0.0,
        extent=(0, end_s, float(bottom_mel), float(top_mel)), interpolation="nearest",
    )  # fmt: skip
    ticks = [f for f in (100, 250, 500, 1000, 2000, 4000, 8000, 16000) if f <= sample_rate / 2]
    axis.set_yticks([float(mel.hz_to_mel(f)) for f in ticks], [f"{f}" for f in ticks])
    axis.set_ylabel("frequency in Hz")
    bar = figure.colorbar(image, ax=axis, pad=0.01, aspect=30)
    bar.set_label("dB below the loudest")


def _curves(
    axis: Any,
    scores: tuple[np.ndarray, np.ndarray, Sequence[str]],
    threshold: float | None,
    colour: dict[str, str],
) -> None:
    times, values, labels = scores
    for index, label in enumerate(labels):
        if label in colour or (len(values) and values[:, index].max() > 0.3):
            strong = label in colour
            axis.plot(
                times, values[:, index], label=label, lw=1.6 if strong else 0.9,
                color=colour.get(label, "0.7"), zorder=3 if strong else 2,
            )  # fmt: skip
    if threshold is not None:
        axis.axhline(threshold, color="0.3", lw=0.8, ls=":", label="threshold")
    axis.set_ylim(0, 1.05)
    axis.set_ylabel("score")
    axis.grid(axis="y", color="0.9", lw=0.6)
    axis.spines[["top", "right"]].set_visible(False)
    if axis.get_legend_handles_labels()[0]:
        axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=8, frameon=False)


def _lanes(times: Sequence[float], *, apart: float) -> list[int]:
    """A row, 0 to 3, for each label in order of time: those closer than `apart` differ."""
    taken = [-np.inf] * 4
    lanes = []
    for time in times:
        free = [lane for lane, last in enumerate(taken) if time - last >= apart]
        lanes.append(free[0] if free else int(np.argmin(taken)))
        taken[lanes[-1]] = time
    return lanes


def _colours(detections: Sequence[Detection], truth: Sequence[Word] | None) -> dict[str, str]:
    """One colour a label, the same in all parts of the picture and from run to run."""
    heard, said = {item.label for item in detections}, {word.label for word in truth or ()}
    names = sorted(heard | said)
    return {name: COLOURS[index % len(COLOURS)] for index, name in enumerate(names)}
