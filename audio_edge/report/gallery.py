"""The clips that were misheard, worst first: what they look and sound like."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from audio_edge import media

MOST_CARDS = 60
MOST_SOUND_BYTES = 2_000_000  # of PCM in all, 60 clips of 1 s at 16 kHz; base64 adds a third


def worst(truth: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """The clips that were misheard, int [errors]: most sure of the wrong class first.

    The order is by the score of what was heard less the score of what was said.

    Args:
        truth: int [n].
        probs: float [n, classes].
    """
    heard = probs.argmax(axis=1)
    every = np.arange(len(truth))
    lead = probs[every, heard] - probs[every, truth]
    wrong = np.flatnonzero(heard != truth)
    return wrong[np.argsort(-lead[wrong], kind="stable")]


def cards(
    chosen: Sequence[int], waveforms: np.ndarray, truth: np.ndarray, probs: np.ndarray,
    names: Sequence[str], labels: Sequence[str], sample_rate: int,
) -> str:  # fmt: skip
    """A list of cards, each with spectrogram, player, what was said and heard, and three scores.

    Args:
        chosen: Indices of clips, in the order to show them.
        waveforms: int16 [n, clip_samples].
        truth: int [n].
        probs: float [n, classes].
        names: The files.
        labels: Class names.
        sample_rate: Hz.
    """
    made, left = [], MOST_SOUND_BYTES
    for clip in chosen:
        samples = waveforms[clip]
        left -= samples.nbytes
        made.append(
            _card(
                samples, sample_rate, probs[clip], int(truth[clip]), names[clip], labels,
                sounding=left >= 0,
            )
        )  # fmt: skip
    return f'<ol class="cards">{"".join(made)}</ol>'


def _card(
    samples: np.ndarray, sample_rate: int, probs: np.ndarray, said: int, name: str,
    labels: Sequence[str], *, sounding: bool,
) -> str:  # fmt: skip
    heard, file = int(probs.argmax()), escape(name)
    picture = media.png(media.spectrogram(samples / 32768.0, sample_rate))
    player = '<p class="note">No player: the page would grow too large.</p>'
    if sounding:
        sound = media.data_uri(media.wav(samples, sample_rate), "audio/wav")
        player = (
            f'<audio controls preload="metadata" aria-label="Play {file}" src="{sound}"></audio>'
        )
    best = sorted(range(len(labels)), key=lambda number: -probs[number])[:3]
    if said not in best:
        best.append(said)
    scores = "".join(
        _score(labels[number], float(probs[number]), number == said) for number in best
    )
    return (
        f'<li class="card" data-said="{said}" data-heard="{heard}">'
        f'<img alt="Log-mel spectrogram of {file}" src="{media.data_uri(picture, "image/png")}">'
        f"<h3><span>said</span> {escape(labels[said])} "
        f"<span>heard</span> <em>{escape(labels[heard])}</em></h3>"
        f'<ul class="scores" aria-label="Scores">{scores}</ul>'
        f'{player}<p class="file">{file}</p></li>'
    )


def _score(label: str, score: float, said: bool) -> str:
    """One line of the scores, a bar behind it; scores that are no probabilities have no bar."""
    width = f"{100 * min(1.0, max(0.0, score)):.0f}%"
    kind = ' class="said"' if said else ""
    cells = f"<span>{escape(label)}</span> <span>{score:.3f}</span>"
    return f'<li{kind} style="--share:{width}">{cells}</li>'
