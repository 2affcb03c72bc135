"""Offline speech: what the engines say, and engines that crash or hang."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from audio_edge.datasets import speech, voices
from audio_edge.datasets.speech import Speaker
from audio_edge.datasets.voices import Voice
from audio_edge.errors import UserError


def _speaks() -> None:
    for module, distribution in speech.ENGINES.values():
        pytest.importorskip(
            module, reason=f"{distribution} is not installed: audio_edge[synthetic]"
        )


@pytest.fixture(scope="module")
def speaker():
    _speaks()
    with Speaker() as speaker:
        yield speaker


@pytest.mark.parametrize("text", ["", "  ", "--", "a/b", "<speed>", "yes\n", "\u4e2d", "a" * 201])
def test_what_cannot_be_spoken_is_named(text):
    with pytest.raises(UserError, match="cannot speak"):
        speech.check_speakable(text)


@pytest.mark.parametrize(
    "who", ["pico.en-US", "pico.en-GB", "espeak.en-029.f2", "espeak.en-GB-scotland.m1"]
)
@pytest.mark.parametrize("text", ["yes", "go left", "42"])
def test_speech_is_loud_trimmed_and_of_sensible_length(speaker, who, text):
    waveform, rate = speaker.speak(text, voices.voice(who))
    assert waveform.dtype == np.float32
    assert rate == (16000 if who.startswith("pico") else 22050)
    assert 0.2 < len(waveform) / rate < 1.3
    assert 0.1 < np.abs(waveform).max() < 1
    assert abs(waveform.mean()) < 0.01
    edge = round(0.02 * rate)
    for end in (waveform[:edge], waveform[-edge:]):
        assert np.abs(end).max() > 1e-4


@pytest.mark.parametrize(
    "who", ["pico.en-GB", "espeak.en-US.klatt4", "espeak.en-GB-x-rp.f1", "espeak.en.m8"]
)
def test_speech_does_not_depend_on_what_was_said_before(speaker, who):
    first, _ = speaker.speak("seven", voices.voice(who), pitch=1.1, rate=0.9)
    speaker.speak("something else", Voice("espeak", "en", "f3"), pitch=0.9)
    speaker.speak("something else", Voice("pico", "en-US"), rate=1.3)
    again, _ = speaker.speak("seven", voices.voice(who), pitch=1.1, rate=0.9)
    fresh, _ = speech.speak("seven", voices.voice(who), pitch=1.1, rate=0.9)
    np.testing.assert_array_equal(again, first)
    np.testing.assert_array_equal(fresh, first)


@pytest.mark.parametrize("who", ["pico.en-US", "espeak.en-US.m1"])
def test_a_higher_rate_is_shorter(speaker, who):
    lengths = [
        len(speaker.speak("seven", voices.voice(who), rate=rate)[0]) for rate in (0.7, 1.0, 1.4)
    ]
    assert lengths[0] > 1.2 * lengths[1] > 1.2 * 1.1 * lengths[2]


def _pitch(waveform: np.ndarray, rate: int) -> float:
    """Hz of the strongest autocorrelation between 60 and 400 Hz in the loudest 60 ms."""
    size = round(0.06 * rate)
    energy = np.convolve(waveform**2, np.ones(size), "valid")
    part = waveform[energy.argmax() :][:size]
    lags = np.correlate(part, part, "full")[size - 1 :]
    low = int(rate / 400)
    return rate / (low + lags[low : int(rate / 60)].argmax())


@pytest.mark.parametrize("who", ["pico.en-US", "espeak.en-US.f2"])
def test_pitch_is_a_factor(speaker, who):
    # The engines' steps and the intonation of one syllable leave about 15 %.
    low, high = (
        _pitch(*speaker.speak("no", voices.voice(who), pitch=pitch)) for pitch in (0.8, 1.25)
    )
    assert high / low == pytest.approx(1.25 / 0.8, rel=0.15)


def test_words_that_sound_alike_have_the_same_phonemes(speaker):
    assert speaker.phonemes("no") == speaker.phonemes("know")
    assert speaker.phonemes("one") == speaker.phonemes("won")
    assert speaker.phonemes("yes") != speaker.phonemes("yet")


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="needs POSIX signals")
def test_a_hung_engine_is_given_up_and_started_anew():
    _speaks()
    who = Voice("pico", "en-GB")
    with Speaker(timeout_s=2.0) as speaker:
        speaker.speak("yes", who)
        os.kill(speaker._process.pid, signal.SIGSTOP)
        with pytest.raises(UserError, match="pico.en-GB crashed or took over 2 s on 'no'"):
            speaker.speak("no", who)
        assert len(speaker.speak("no", who)[0])


def test_a_crashed_engine_is_one_clear_error():
    _speaks()
    with Speaker() as speaker:
        speaker.speak("yes", Voice("pico", "en-GB"))
        speaker._process.kill()
        with pytest.raises(UserError, match="crashed"):
            speaker.speak("no", Voice("pico", "en-GB"))


def test_a_missing_package_says_what_to_install(monkeypatch):
    monkeypatch.setitem(speech.ENGINES, "espeak", ("espeakng_loader_absent", "espeakng-loader"))
    with pytest.raises(
        UserError, match=r"espeakng-loader; pip install audio_edge\[synthetic\].*GPL-3"
    ):
        speech.speak("yes", Voice("espeak", "en", "f1"))


def test_the_caller_loads_no_engine():
    _speaks()
    code = (
        "import sys; from audio_edge.datasets.speech import Voice, speak; "
        "speak('yes', Voice('espeak', 'en', 'f1')); "
        "print({'espeakng_loader', 'py_nanotts', 'tensorflow'} & set(sys.modules))"
    )
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "set()"), done.stderr


def test_trimming_keeps_the_word_and_drops_the_silence():
    tone = np.sin(np.arange(1600) * 0.3).astype(np.float32)
    padded = np.concatenate([np.zeros(800, np.float32), tone, np.zeros(2400, np.float32)])
    assert len(tone) <= len(speech.trimmed(padded, 16000)) <= len(tone) + 2 * 160
    assert not speech.trimmed(np.zeros(100, np.float32), 16000).size
