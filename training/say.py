"""Speak words by a voice kept for the test: `python -m training.say CONFIG --out FILE.wav`.

The truth goes beside the recording as an Audacity label track, FILE.txt, for `listen --truth`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from audio_edge import audio, config, files
from audio_edge.config import DataConfig
from audio_edge.datasets import recording, synthetic, voices, words
from audio_edge.datasets.speech import Speaker
from audio_edge.errors import UserError, command

_UNKNOWN_EVERY = 4  # of so many words one is none of the keywords


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.say",
        description="Speak the words of [data] by a test voice, with pauses and noise, into a WAV "
        "file, and write the truth beside it as an Audacity label track (start, end, label). "
        "Words that are not in data.words are spoken among them and must not be detected: the "
        "label track lists only keywords.",
    )
    parser.add_argument("config", help="TOML config whose [data] names the words")
    parser.add_argument(
        "--out", required=True, type=Path, metavar="FILE.wav", help="recording to write"
    )
    parser.add_argument(
        "--count",
        type=int,
        default=10,
        help="keywords to speak (default 10), with one other word to every three",
    )
    parser.add_argument(
        "--words",
        nargs="+",
        metavar="WORD",
        help="speak just these, in this order; those in data.words are labelled",
    )
    parser.add_argument(
        "--voice",
        help="a voice such as espeak.en-US.f1 or pico.en-GB (default: one of the test voices)",
    )
    parser.add_argument(
        "--snr-db", type=float, default=20.0, help="words over noise, in dB (default 20)"
    )
    parser.add_argument(
        "--seed", type=int, help="of words, voice and noise (default: the config's run.seed)"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="SECTION.KEY=VALUE",
        help="override a key of the config",
    )
    parser.add_argument("--force", action="store_true", help="overwrite FILE.wav and FILE.txt")
    return parser


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Speak, write both files, print what was said."""
    arguments = _parser().parse_args(argv)
    settings = config.load_config(arguments.config, arguments.set)
    data, out = settings.data, arguments.out
    labels = out.with_suffix(".txt")
    if out.suffix.lower() != ".wav":
        raise UserError(f"--out must end in .wav. Received: {out}")
    for path in (out, labels):
        if path.exists() and not arguments.force:
            raise UserError(f"{path}: exists already; use --force to overwrite it")
    seed = settings.run.seed if arguments.seed is None else arguments.seed
    if seed < 0:
        raise UserError(f"--seed must be >= 0. Received: {seed}")
    if arguments.count < 1:
        raise UserError(f"--count must be >= 1. Received: {arguments.count}")
    if not -20 <= arguments.snr_db <= 100:
        raise UserError(f"--snr-db must be -20 to 100. Received: {arguments.snr_db:g}")
    if not data.words:
        raise UserError("data.words is empty; set it, since it says which words are labelled")
    rng = np.random.default_rng(seed)
    # The split is that of the training data, whatever --seed says.
    unheard = synthetic.test_voices(data, settings.run.seed)
    who = voices.voice(arguments.voice) if arguments.voice else unheard[rng.integers(len(unheard))]
    text = arguments.words or _draw(data, arguments.count, rng)
    if not set(text) & set(data.words):
        raise UserError(f"--words holds no keyword; add one of {', '.join(data.words)}")
    waveform, spoken = recording.make(
        text, who, sample_rate=data.sample_rate, seed=seed, snr_db=arguments.snr_db
    )
    truth = [word for word in spoken if word.label in data.words]
    lines = [f"{word.start_s:.4f}\t{word.end_s:.4f}\t{word.label}\n" for word in truth]
    with files.replacing(out) as sound, files.replacing(labels) as text:  # both or neither
        audio.write(sound, waveform, data.sample_rate)
        text.write_text("".join(lines), encoding="utf-8", newline="\n")
    for word in spoken:
        mark = "" if word in truth else "  (not a keyword)"
        print(f"{word.start_s:8.2f} {word.end_s:8.2f}  {word.label}{mark}")
    said = f"{len(truth)} keywords among {len(spoken)} words by {who.name}"
    print(f"{said}, {len(waveform) / data.sample_rate:.1f} s: {out} and {labels}")
    return 0


def _draw(data: DataConfig, count: int, rng: np.random.Generator) -> list[str]:
    """Every keyword as often as the others, shuffled, with another word at every fourth place."""
    keywords: list[str] = []
    while len(keywords) < count:
        keywords += rng.permutation(data.words).tolist()
    with Speaker() as speaker:
        others = rng.permutation(words.others(data, speaker)).tolist()
    drawn: list[str] = []
    for keyword in keywords[:count]:
        drawn.append(keyword)
        if others and len(drawn) % _UNKNOWN_EVERY == _UNKNOWN_EVERY - 1:
            drawn.append(others[len(drawn) % len(others)])
    return drawn


if __name__ == "__main__":
    raise SystemExit(main())
