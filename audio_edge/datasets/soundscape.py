"""Long recordings with their truth: real clips of one split laid into real noise of that split.

A soundscape is made section by section, each drawn from (seed, section) alone, so that hours need
no more memory than seconds, and the same seed gives the same samples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from audio_edge import audio
from audio_edge.config import SILENCE, UNKNOWN, Config
from audio_edge.datasets import pipeline
from audio_edge.errors import UserError
from audio_edge.events import Word

SECTION_S = 20.0
_FADE_S, _NOISE_FADE_S = 0.01, 0.25
_FULL = 0.8  # of full scale, what the peak of a word may reach; the rest is for the noise
_SILENT = 1e-5  # RMS of a noise, its recording's peak being 1
_ORDER, _SECTION = 0, 1  # streams of random numbers


@dataclass(frozen=True)
class Scene:
    """What a soundscape is like.

    Attributes:
        minutes: Length.
        keywords_per_minute: Words that must be detected, each as often as the others.
        others_per_minute: Other words, which must not be.
        snr_db: Least and greatest ratio of a word's power, over its span, to the mean power of the
            noise in its section.
        noise_dbfs: Least and greatest level of the noise of a section: RMS, in dB of full scale.
        seed: >= 0.
    """

    minutes: float
    keywords_per_minute: float = 4.0
    others_per_minute: float = 10.0
    snr_db: tuple[float, float] = (0.0, 20.0)
    noise_dbfs: tuple[float, float] = (-50.0, -35.0)
    seed: int = 0


@dataclass(frozen=True)
class Material:
    """What a soundscape is laid of: int16 clips of each word, and noise, all of one split.

    Attributes:
        keywords: Label -> int16 [n, clip_samples].
        others: (word, int16 [clip_samples]) of each clip of an unknown word.
        noise: Name -> float32 [samples].
        sample_rate: Hz.
    """

    keywords: dict[str, np.ndarray]
    others: tuple[tuple[str, np.ndarray], ...]
    noise: dict[str, np.ndarray]
    sample_rate: int


def material(
    config: Config, split: str, *, progress: Callable[[int], Any] | None = None
) -> Material:
    """Load the clips of one split of a data set, and the noise of the same split.

    Args:
        config: Names the data set; its labels but silence and unknown are the keywords.
        split: "train", "val" (the selection speakers) or "test".
        progress: Called with 1 after each file.
    """
    if config.data.multi_label:
        raise UserError("a clip of kind 'audioset' has no single label; give another data set")
    index = pipeline.index(config)
    loaded = pipeline.load(config, index, split, progress=progress)
    word_of = {
        clip.path.relative_to(index.root).as_posix(): clip.word or clip.label
        for clip in index.split(split)
    }
    keywords: dict[str, list[np.ndarray]] = {}
    others = []
    for waveform, number, name in zip(loaded.waveforms, loaded.labels, loaded.names, strict=True):
        label = index.labels[number]
        if label == SILENCE or not waveform.any():
            continue
        if label == UNKNOWN:
            others.append((word_of[name], waveform))
        else:
            keywords.setdefault(label, []).append(waveform)
    if not keywords:
        raise UserError(f"the {split} split holds no clip of a word; add recordings")
    return Material(
        {label: np.stack(clips) for label, clips in keywords.items()}, tuple(others),
        pipeline.noise_bank(config, index, split), config.data.sample_rate,
    )  # fmt: skip


def count(scene: Scene) -> int:
    """Sections of a soundscape: all of about `SECTION_S`."""
    return max(1, round(60 * scene.minutes / SECTION_S))


def lay(scene: Scene, given: Material) -> Iterator[tuple[np.ndarray, list[Word]]]:
    """Yield a soundscape section by section.

    Words do not overlap; a word never runs from one section into the next. One that would pass full
    scale is lowered, and its `snr_db` says so.

    Yields:
        (int16 [samples], the words of the section, in order, with their times in the whole).
    """
    rate, sections = given.sample_rate, count(scene)
    ends = [round(60 * scene.minutes * rate * n / sections) for n in range(sections + 1)]
    fade = round(_NOISE_FADE_S * rate)
    _check(scene, given, min(np.diff(ends)) / rate)
    tail = np.zeros(fade)
    for number, (start, end) in enumerate(zip(ends, ends[1:], strict=False)):
        rng = np.random.default_rng([scene.seed, _SECTION, number])
        length = end - start
        level = 10 ** (rng.uniform(*scene.noise_dbfs) / 20)
        bank = [given.noise[name] for name in sorted(given.noise)]
        wave = level * _stretch(bank, length + fade, fade, rng)
        wave[:fade] = wave[:fade] * _rise(fade) + tail
        tail = wave[length:] * _rise(fade)[::-1]
        wave = wave[:length]
        chosen = _chosen(scene, given, number, sections)
        chosen = [chosen[place] for place in rng.permutation(len(chosen))]
        clip = _clip_samples(given)
        gaps = np.sort(rng.integers(0, length - clip * len(chosen) + 1, len(chosen)))
        words = []
        for place, (label, samples) in enumerate(chosen):
            at = int(gaps[place]) + place * clip
            first, last = span(samples, rate)
            wanted_db = rng.uniform(*scene.snr_db)
            said, snr_db = _at_level(samples, (first, last), level, wanted_db, rate)
            wave[at : at + clip] += said
            begin_s, end_s = ((start + at + edge) / rate for edge in (first, last))
            words.append(Word(label, begin_s, end_s, round(snr_db, 2)))
        yield audio.to_int16(wave), words


def span(samples: np.ndarray, sample_rate: int) -> tuple[int, int]:
    """Where the word of a clip is, by its level: (first sample, one past the last).

    With the highs raised, so that hum does not count: of the stretches that are at most 30 dB below
    the peak and stand out of the clip's own noise by a third of the way to it, the one with most dB
    in all, so that a click is none. Gaps of up to 0.15 s, as before a final t, belong to a stretch.

    Args:
        samples: int16 or float [samples], not all zero.
        sample_rate: Hz.
    """
    hop = max(1, sample_rate // 100)
    frames = max(1, len(samples) // hop)
    wave = np.asarray(samples[: frames * hop], np.float64)
    wave = (wave - 0.97 * np.concatenate([wave[:1], wave[:-1]])).reshape(frames, -1)
    power = np.convolve(np.mean(np.square(wave), axis=1), [0.25, 0.5, 0.25], mode="same")
    level_db = 10 * np.log10(power + 1e-12 * (power.max() or 1.0))
    peak, floor = level_db.max(), np.percentile(level_db, 10)
    over_db = level_db - max(peak - 30, floor + (peak - floor) / 3)
    loud = np.flatnonzero(over_db >= 0)
    groups = np.split(loud, np.flatnonzero(np.diff(loud) > 15) + 1)
    group = max(groups, key=lambda group: over_db[group].sum())
    return int(group[0]) * hop, min((int(group[-1]) + 1) * hop, len(samples))


def _check(scene: Scene, given: Material, section_s: float) -> None:
    if scene.others_per_minute and not given.others:
        raise UserError(
            "there is no clip of another word; set data.unknown = true or --others-per-minute 0"
        )
    most = np.ceil((scene.keywords_per_minute + scene.others_per_minute) * section_s / 60) + 1
    needed = most * _clip_samples(given) / given.sample_rate
    if needed > section_s:
        raise UserError(
            f"so many words do not fit: in {section_s:.1f} s their clips may take {needed:.1f} s; "
            "give fewer words a minute, or more minutes"
        )


def _clip_samples(given: Material) -> int:
    return int(next(iter(given.keywords.values())).shape[1])


def _chosen(
    scene: Scene, given: Material, number: int, sections: int
) -> list[tuple[str, np.ndarray]]:
    """The clips of a section. Each keyword, each clip comes as often as the others of its kind."""
    labels, chosen = sorted(given.keywords), []
    for place in _due(scene.keywords_per_minute * scene.minutes, number, sections):
        turn, rest = divmod(place, len(labels))
        label = labels[_order(scene.seed, 0, turn, len(labels))[rest]]
        clips = given.keywords[label]
        lap, at = divmod(turn, len(clips))
        kind = 2 + labels.index(label)
        chosen.append((label, clips[_order(scene.seed, kind, lap, len(clips))[at]]))
    for place in _due(scene.others_per_minute * scene.minutes, number, sections):
        lap, at = divmod(place, len(given.others))
        chosen.append(given.others[_order(scene.seed, 1, lap, len(given.others))[at]])
    return chosen


def _due(total: float, number: int, sections: int) -> range:
    """Which of `total` items, spread evenly, fall into a section."""
    return range(round(total * number / sections), round(total * (number + 1) / sections))


def _order(seed: int, kind: int, lap: int, n: int) -> np.ndarray:
    return np.random.default_rng([seed, _ORDER, kind, lap]).permutation(n)


def _stretch(
    bank: Sequence[np.ndarray], length: int, fade: int, rng: np.random.Generator
) -> np.ndarray:
    """float64 [length] of one noise, RMS 1; a short recording comes again, faded over."""
    for _ in range(100):
        wave = bank[rng.integers(len(bank))].astype(np.float64)
        made = np.zeros(length + fade)
        at = 0
        while at < length:
            start = rng.integers(max(1, len(wave) // 2))
            part = wave[start : start + length + fade - at].copy()
            edge = min(fade, len(part) // 2)
            if at:
                part[:edge] *= _rise(edge)
            part[len(part) - edge :] *= _rise(edge)[::-1]
            made[at : at + len(part)] += part
            at += len(part) - edge
        rms = np.sqrt(np.mean(np.square(made[:length])))
        if rms > _SILENT:
            return made[:length] / rms
    raise UserError("the recordings of noise are silent nearly everywhere; give others")


def _at_level(
    samples: np.ndarray, where: tuple[int, int], noise: float, snr_db: float, sample_rate: int
) -> tuple[np.ndarray, float]:
    """A clip with its word at a ratio to noise of this RMS, and the ratio, lower if it must be."""
    wave = samples / 32768.0
    edge = min(round(_FADE_S * sample_rate), len(wave) // 2)
    wave[:edge] *= _rise(edge)
    wave[len(wave) - edge :] *= _rise(edge)[::-1]
    rms = np.sqrt(np.mean(np.square(wave[slice(*where)])))
    gain = min(noise * 10 ** (snr_db / 20) / rms, _FULL / np.abs(wave).max())
    return gain * wave, float(20 * np.log10(gain * rms / noise))


def _rise(length: int) -> np.ndarray:
    """The first half of a fade over: its power and that of its mirror add up to 1."""
    return np.sin(0.5 * np.pi * (np.arange(length) + 0.5) / max(1, length))
