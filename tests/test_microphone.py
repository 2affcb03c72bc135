"""The microphone over a fake sounddevice: rates, resampling by blocks, and what can be missing."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from audio_edge import audio
from audio_edge.errors import UserError
from audio_edge.microphone import Microphone, Resampler, input_devices
from tests.fake_sounddevice import FakeSoundDevice


@pytest.mark.parametrize("rates", [(48000, 16000), (44100, 16000), (16000, 44100), (8000, 16000)])
def test_resampler_by_blocks_equals_the_whole(rates, rng):
    """The same sums of the same float32 products; only their order may differ."""
    waveform = rng.normal(0, 0.1, 20000).astype(np.float32)
    resampler = Resampler(*rates)
    cuts = np.sort(rng.integers(0, len(waveform), 60))
    output = np.concatenate([resampler.push(block) for block in np.split(waveform, cuts)])
    whole = audio.resample(waveform, *rates)
    lag = len(whole) - len(output)
    assert 0 <= lag <= 0.006 * rates[1]
    np.testing.assert_allclose(output, whole[: len(output)], atol=1e-6)


def test_resampler_keeps_little(rng):
    resampler = Resampler(44100, 16000)
    for _ in range(200):
        resampler.push(rng.normal(0, 0.1, 441))
    assert len(resampler._kept) < 2000


def test_device_at_the_wanted_rate_is_passed_through(monkeypatch, rng):
    waveform = rng.uniform(-1, 1, 1000).astype(np.float32)
    fake = FakeSoundDevice(waveform)
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    with Microphone(16000) as microphone:
        assert (microphone.name, microphone.device_rate) == ("fake microphone", 16000)
        read = [microphone.read(300), microphone.read(700)]
    assert np.array_equal(np.concatenate(read), waveform)
    assert fake.closed


def test_device_at_another_rate_is_resampled(monkeypatch, rng):
    waveform = rng.normal(0, 0.1, 48000).astype(np.float32)
    fake = FakeSoundDevice(waveform, rates=(48000,))
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    with Microphone(16000) as microphone:
        assert microphone.device_rate == 48000
        read = np.concatenate([microphone.read(160) for _ in range(90)])
    np.testing.assert_allclose(read, audio.resample(waveform, 48000, 16000)[:14400], atol=1e-6)


def test_lost_audio_is_counted(monkeypatch):
    fake = FakeSoundDevice(np.zeros(1000, np.float32), overflow=True)
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    with Microphone(16000) as microphone:
        microphone.read(100)
        assert microphone.overflows == 1


def test_input_devices_leaves_out_loudspeakers(monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", FakeSoundDevice(np.zeros(1)))
    assert input_devices() == [(1, "fake microphone", 16000)]


def test_missing_package_is_a_user_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(UserError, match="pip install sounddevice"):
        Microphone(16000)


def test_missing_library_is_a_user_error(monkeypatch, tmp_path):
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    with pytest.raises(UserError, match="apt install libportaudio2"):
        Microphone(16000)


def test_no_input_device_is_a_user_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", FakeSoundDevice(np.zeros(1), devices=0))
    with pytest.raises(UserError, match="there is no input device; plug in a microphone"):
        Microphone(16000)
    with pytest.raises(UserError, match="7 is no input device"):
        Microphone(16000, device=7)


def test_device_that_opens_at_no_rate_is_a_user_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", FakeSoundDevice(np.zeros(1), rates=()))
    with pytest.raises(UserError, match="fake microphone: cannot be opened at 16000 or 44100 Hz"):
        Microphone(16000)


def test_read_of_nothing_states_the_rule(monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", FakeSoundDevice(np.zeros(1)))
    with pytest.raises(ValueError, match="n must be in .* Received: n=0"):
        Microphone(16000).read(0)
