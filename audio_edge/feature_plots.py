"""Pictures of features, as a classifier sees them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from audio_edge.canvas import COLOURS, figure_class, save
from audio_edge.config import FrontendConfig

_CURVES = {
    "zcr": ("zero-crossing rate", "share of samples"),
    "rms": ("RMS", "of full scale"),
    "centroid": ("spectral centroid", "Hz"),
    "bandwidth": ("spectral bandwidth", "Hz"),
    "rolloff": ("spectral roll-off", "Hz"),
    "flatness": ("spectral flatness", "0 to 1"),
}
_MAPS = {
    "logmel": ("log-mel", "mel band", "ln power"),
    "mfcc": ("MFCC", "coefficient", ""),
    "pcen": ("PCEN", "mel band", ""),
    "contrast": ("spectral contrast", "octave", "dB"),
    "chroma": ("chroma", "pitch class", "of the strongest"),
}
_PITCHES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")


def features(
    path: str | os.PathLike[str], waveform: np.ndarray, found: Mapping[str, np.ndarray],
    config: FrontendConfig, sample_rate: int,
) -> None:  # fmt: skip
    """Draw each feature of a recording over the same time.

    Args:
        path: Picture to write; its ending names the format.
        waveform: float [samples] in [-1, 1].
        found: Name of a feature -> [frames, bands].
        config: What they were made with.
        sample_rate: Hz.

    Raises:
        UserError: matplotlib is missing, or the format is unknown.
    """
    names = list(found)
    rows = -(-len(names) // 2)
    figure = figure_class()(figsize=(11, 0.6 + 1.75 * rows), layout="constrained")
    grid = figure.subplots(rows, 2, sharex=True, squeeze=False)
    length_s = len(waveform) / sample_rate
    for axes, name in zip(grid.T.reshape(-1), names, strict=False):
        bands = np.asarray(found[name])
        starts_s = np.arange(len(bands)) * config.hop_length / sample_rate
        if name == "waveform":
            axes.plot(np.arange(len(waveform)) / sample_rate, waveform, lw=0.5, color=COLOURS[0])
            _describe(axes, "waveform", "of full scale")
        elif name in _CURVES:
            middle_s = starts_s + config.frame_length / 2 / sample_rate
            axes.plot(middle_s, bands[:, 0], lw=1.2, color=COLOURS[0])
            axes.set_ylim(bottom=0)
            _describe(axes, *_CURVES[name])
        else:
            _map(figure, axes, name, bands, starts_s, config, sample_rate)
        axes.set_xlim(0, length_s)
    for axes in grid.T.reshape(-1)[len(names) :]:
        axes.set_visible(False)
    for axes in grid[-1]:
        axes.set_xlabel("time in s")
    save(figure, path)


def clips_figure(
    found: np.ndarray, titles: Sequence[str], config: FrontendConfig, sample_rate: int
) -> Any:
    """Some clips side by side in one scale of colours, the lowest band at the bottom.

    Args:
        found: float [clips, frames, bands].
        titles: One a clip.
        config: What they were made with.
        sample_rate: Hz.
    """
    rows = -(-len(found) // 2)
    figure = figure_class()(figsize=(11, 0.6 + 2.4 * rows), layout="constrained")
    grid = figure.subplots(rows, 2, sharex=True, sharey=True, squeeze=False)
    low, high = np.percentile(found, [0.5, 99.9])
    frames, bands = found.shape[1:]
    half_s = (config.frame_length - config.hop_length) / 2 / sample_rate
    extent = (half_s, half_s + frames * config.hop_length / sample_rate, -0.5, bands - 0.5)
    for axes, clip, title in zip(grid.flat, found, titles, strict=False):
        image = axes.imshow(
            clip.T, origin="lower", aspect="auto", extent=extent, interpolation="nearest",
            cmap="magma", vmin=low, vmax=high,
        )  # fmt: skip
        axes.set_title(title, loc="left", fontsize=10)
        axes.tick_params(labelsize=8)
    for axes in list(grid.flat)[len(found) :]:
        axes.set_visible(False)
    for axes in grid[:, 0]:
        axes.set_ylabel("band", fontsize=9)
    for axes in grid[-1]:
        axes.set_xlabel("time in s", fontsize=9)
    bar = figure.colorbar(image, ax=grid, pad=0.01, aspect=30)
    one = config.features[0] if len(config.features) == 1 else ""
    bar.set_label(_MAPS[one][2] if one in _MAPS and not config.normalize else "", fontsize=9)
    return figure


def _map(
    figure: Any, axes: Any, name: str, bands: np.ndarray, starts_s: np.ndarray,
    config: FrontendConfig, sample_rate: int,
) -> None:  # fmt: skip
    """One feature of several bands, as shades over time."""
    title, row, unit = _MAPS[name]
    hidden = 1 if name == "mfcc" and config.n_mfcc > 1 else 0  # the level would hide the others
    half_s = (config.frame_length - config.hop_length) / 2 / sample_rate  # frames at their middle
    end_s = starts_s[-1] + config.hop_length / sample_rate
    extent = (half_s, end_s + half_s, hidden - 0.5, bands.shape[1] - 0.5)
    most = float(np.percentile(np.abs(bands[:, hidden:]), 99)) or 1.0
    signed = {"cmap": "RdBu_r", "vmin": -most, "vmax": most}
    image = axes.imshow(
        bands[:, hidden:].T, origin="lower", aspect="auto", extent=extent, interpolation="nearest",
        **(signed if name == "mfcc" else {"cmap": "magma"}),
    )  # fmt: skip
    bar = figure.colorbar(image, ax=axes, pad=0.01, aspect=12)
    bar.set_label(unit, fontsize=9)
    bar.ax.tick_params(labelsize=8)
    if name == "chroma" and bands.shape[1] == len(_PITCHES):
        axes.set_yticks(range(0, 12, 2), _PITCHES[::2])
    _describe(axes, f"{title} (without the level, 0)" if hidden else title, row)


def _describe(axes: Any, title: str, unit: str) -> None:
    axes.set_title(title, loc="left", fontsize=10)
    axes.set_ylabel(unit, fontsize=9)
    axes.tick_params(labelsize=8)
