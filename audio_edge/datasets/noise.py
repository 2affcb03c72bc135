"""Made-up background noises for when none were recorded: seeded, peak 1, free of DC."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

_TALKERS = 7


def noises(
    sample_rate: int, seconds: float, seed: int, *, speech: Sequence[np.ndarray] = ()
) -> dict[str, np.ndarray]:
    """Make one waveform of each kind of noise.

    Args:
        sample_rate: Hz.
        seconds: Length of each, > 0.
        seed: Any integer >= 0; each kind has a stream of its own.
        speech: float [samples] each, at `sample_rate`: words that may be overheard. With at least
            one there is "babble", seven talkers at once; without, there is none.

    Returns:
        float32 [samples] with peak 1 under each of "white", "pink", "brown", "hum", "clicks",
        "fan", "traffic", and perhaps "babble".
    """
    samples = round(seconds * sample_rate)
    if samples < 2:
        received = f"seconds={seconds}, sample_rate={sample_rate}"
        raise ValueError(f"seconds must give at least 2 samples. Received: {received}")
    kinds: dict[str, Callable[[np.random.Generator, int, int], np.ndarray]] = {
        "white": white, "pink": pink, "brown": brown, "hum": hum, "clicks": clicks, "fan": fan,
        "traffic": traffic,
    }  # fmt: skip
    streams = [np.random.default_rng([seed, place]) for place in range(len(kinds) + 1)]
    made = {
        name: make(rng, samples, sample_rate)
        for rng, (name, make) in zip(streams, kinds.items(), strict=False)
    }
    if len(speech):
        made["babble"] = babble(streams[-1], samples, sample_rate, speech)
    return {name: _peak_one(waveform) for name, waveform in made.items()}


def white(rng: np.random.Generator, samples: int, sample_rate: int) -> np.ndarray:
    """Equal power at all frequencies."""
    return rng.standard_normal(samples)


def pink(rng: np.random.Generator, samples: int, sample_rate: int) -> np.ndarray:
    """Power as 1/f above 20 Hz: -3 dB an octave."""
    return _shaped(rng, samples, sample_rate, lambda hertz: np.maximum(hertz, 20.0) ** -0.5)


def brown(rng: np.random.Generator, samples: int, sample_rate: int) -> np.ndarray:
    """Power as 1/f^2 above 20 Hz: -6 dB an octave."""
    return _shaped(rng, samples, sample_rate, lambda hertz: 1 / np.maximum(hertz, 20.0))


def hum(rng: np.random.Generator, samples: int, sample_rate: int) -> np.ndarray:
    """Mains hum, 50 Hz in the first half and 60 Hz in the second: 20 harmonics over a hiss."""
    mains = np.where(np.arange(samples) < samples // 2, 50.0, 60.0)
    turn = 2 * np.pi * np.cumsum(mains) / sample_rate
    orders = np.arange(1, 21)
    levels = rng.uniform(0.3, 1.0, orders.size) / orders
    phases = rng.uniform(0, 2 * np.pi, orders.size)
    wave = rng.standard_normal(samples) * 0.005
    for order, level, phase in zip(orders, levels, phases, strict=True):
        if 60 * order < sample_rate / 2:
            wave += level * np.sin(order * turn + phase)
    return wave


def clicks(rng: np.random.Generator, samples: int, sample_rate: int) -> np.ndarray:
    """Knocks and key strokes: about four bursts a second, fading in 2 to 30 ms, over a hiss."""
    wave = rng.standard_normal(samples) * 0.003
    for _ in range(max(1, rng.poisson(4 * samples / sample_rate))):
        decay_s = np.exp(rng.uniform(np.log(0.002), np.log(0.03)))
        burst = min(samples, max(2, round(6 * decay_s * sample_rate)))
        time = np.arange(burst) / sample_rate
        tone = np.sin(2 * np.pi * rng.uniform(200, 0.4 * sample_rate) * time) + rng.standard_normal(
            burst
        )
        start = rng.integers(0, samples - burst + 1)
        wave[start : start + burst] += rng.uniform(0.2, 1.0) * tone * np.exp(-time / decay_s)
    return wave


def fan(rng: np.random.Generator, samples: int, sample_rate: int) -> np.ndarray:
    """A fan: air noise falling above 600 Hz, beating with the blades, and the blades' own tones."""
    time = np.arange(samples) / sample_rate
    blades = rng.uniform(25, 90)
    air = _shaped(rng, samples, sample_rate, lambda hertz: 1 / (1 + (hertz / 600) ** 2))
    wave = air * (1 + 0.3 * np.sin(2 * np.pi * blades * time))
    for order in range(1, 5):
        wave += (
            rng.uniform(0.1, 0.6)
            / order
            * np.sin(2 * np.pi * order * blades * time + rng.uniform(0, 6))
        )
    return wave


def traffic(rng: np.random.Generator, samples: int, sample_rate: int) -> np.ndarray:
    """A road: rumble that never stops, and a vehicle that swells and fades about every 4 s."""
    time = np.arange(samples) / sample_rate
    rumble = _shaped(rng, samples, sample_rate, lambda hertz: 1 / (1 + (hertz / 120) ** 2))
    tyres = _shaped(rng, samples, sample_rate, lambda hertz: 1 / (1 + ((hertz - 800) / 700) ** 2))
    passing = np.full(samples, 0.1)
    for _ in range(max(1, rng.poisson(samples / sample_rate / 4))):
        centre, width = rng.uniform(0, time[-1]), rng.uniform(0.5, 2.0)
        passing += rng.uniform(0.3, 1.0) * np.exp(-0.5 * np.square((time - centre) / width))
    return rumble * (0.3 + passing) + tyres * passing


def babble(
    rng: np.random.Generator, samples: int, sample_rate: int, speech: Sequence[np.ndarray]
) -> np.ndarray:
    """Seven talkers at once, each saying `speech` in its own order and at its own level."""
    wave = np.zeros(samples)
    for _ in range(_TALKERS):
        level = rng.uniform(0.4, 1.0)
        at = -int(rng.integers(0, sample_rate))
        while at < samples:
            piece = np.asarray(speech[rng.integers(len(speech))], np.float64)
            power = np.sqrt(np.mean(np.square(piece))) if piece.size else 0.0
            first, last = max(at, 0), min(at + piece.size, samples)
            if power and last > first:
                wave[first:last] += level / power * piece[first - at : last - at]
            at += piece.size + int(rng.integers(1, max(2, sample_rate // 4)))
    return wave


def _shaped(
    rng: np.random.Generator,
    samples: int,
    sample_rate: int,
    amplitude: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """White noise through a filter given by its amplitude over Hz; RMS 1, no DC."""
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    spectrum *= amplitude(np.fft.rfftfreq(samples, 1 / sample_rate))
    spectrum[0] = 0
    wave = np.fft.irfft(spectrum, samples)
    return wave / (np.sqrt(np.mean(np.square(wave))) or 1.0)


def _peak_one(waveform: np.ndarray) -> np.ndarray:
    centred = waveform - waveform.mean()
    return (centred / (np.abs(centred).max() or 1.0)).astype(np.float32)
