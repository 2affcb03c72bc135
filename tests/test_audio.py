"""Reading and resampling: literal samples, then properties of the filter."""

import os
import sys

import numpy as np
import pytest
import soundfile

from audio_edge import audio
from audio_edge.errors import UserError


def sine(frequency, rate, seconds=1.0, amplitude=0.5):
    return amplitude * np.sin(2 * np.pi * frequency * np.arange(round(rate * seconds)) / rate)


@pytest.mark.parametrize(
    ("suffix", "subtype", "step"),
    [
        ("wav", "PCM_U8", 2**-7),
        ("wav", "PCM_16", 2**-15),
        ("wav", "PCM_24", 2**-23),
        ("wav", "PCM_32", 2**-23),
        ("wav", "FLOAT", 2**-24),
        ("flac", "PCM_16", 2**-15),
        ("flac", "PCM_24", 2**-23),
        ("ogg", "VORBIS", 0.02),
        ("mp3", "MPEG_LAYER_III", 0.02),
    ],
)
def test_read_gives_the_samples_of_every_format(tmp_path, suffix, subtype, step):
    wave = sine(440, 16000)
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, wave, 16000, subtype=subtype)
    read, rate = audio.read(path)
    assert rate == 16000
    assert read.dtype == np.float32
    inner = slice(2000, 14000)  # lossy codecs fade in and out
    np.testing.assert_allclose(read[inner], wave[inner], atol=step)  # one step of the format


def test_read_mixes_channels_by_mean(tmp_path):
    channels = np.stack([np.full(100, value) for value in (0.5, -0.25, 0.125)], axis=1)
    soundfile.write(tmp_path / "a.wav", channels, 16000, subtype="FLOAT")
    np.testing.assert_allclose(audio.read(tmp_path / "a.wav")[0], 0.125, atol=1e-7)


def test_read_resamples_to_the_rate_asked_for(tmp_path):
    soundfile.write(tmp_path / "a.wav", sine(1000, 44100), 44100, subtype="FLOAT")
    read, rate = audio.read(tmp_path / "a.wav", sample_rate=16000)
    assert (rate, len(read)) == (16000, 16000)
    np.testing.assert_allclose(read[500:-500], sine(1000, 16000)[500:-500], atol=1e-4)
    assert audio.read(tmp_path / "a.wav", sample_rate=None)[1] == 44100


def test_full_scale_int16_round_trips_exactly(tmp_path):
    extremes = np.array([-32768, -1, 0, 1, 32767], np.int16)
    soundfile.write(tmp_path / "a.wav", extremes, 16000)
    np.testing.assert_array_equal(audio.to_int16(audio.read(tmp_path / "a.wav")[0]), extremes)


def test_to_int16_rounds_then_clips():
    given = np.array([0.6, -0.6, 0.4, 40000, -40000]) / 32768
    np.testing.assert_array_equal(audio.to_int16(given), [1, -1, 0, 32767, -32768])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.wav", None, "no such file"),
        ("empty.wav", b"", "it is empty"),
        ("text.wav", b"these are words, not sound" * 20, "not a readable recording"),
    ],
)
def test_unreadable_file_is_one_sentence(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        audio.read(tmp_path / name)


@pytest.mark.parametrize(
    ("wave", "message"),
    [
        (np.zeros(0), "holds no audio"),
        (np.array([0.0, np.nan]), "NaN"),
        (np.array([np.inf, 0.0]), "NaN or infinite"),
    ],
)
def test_unusable_samples_are_refused(tmp_path, wave, message):
    soundfile.write(tmp_path / "a.wav", wave, 16000, subtype="FLOAT")
    with pytest.raises(UserError, match=message):
        audio.read(tmp_path / "a.wav")


def test_too_long_is_refused_by_header_and_by_content(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(3200), 1600)
    with pytest.raises(UserError, match="longer than the limit|more than the limit"):
        audio.read(tmp_path / "a.wav", max_s=1.0)


@pytest.mark.parametrize(
    ("low", "high"), [(8000, 16000), (11025, 16000), (16000, 44100), (16000, 48000)]
)
def test_resample_keeps_what_both_rates_hold(low, high):
    for rate_in, rate_out in ((low, high), (high, low)):
        out = audio.resample(sine(1000, rate_in), rate_in, rate_out)
        assert len(out) == rate_out
        # float32 sums over some hundred taps: -90 dB
        np.testing.assert_allclose(out[800:-800], sine(1000, rate_out)[800:-800], atol=2e-5)


def test_resample_removes_what_would_alias():
    out = audio.resample(sine(9500, 44100), 44100, 16000)
    assert np.abs(out[800:-800]).max() < 1e-4  # 80 dB below the input


def test_resample_of_a_block_of_silence_and_single_sample():
    assert not audio.resample(np.zeros(1000), 44100, 16000).any()
    assert len(audio.resample(np.ones(1), 8000, 16000)) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="only there names are any bytes")
@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_name_that_is_not_utf8_is_read(tmp_path, suffix):
    plain = tmp_path / f"a.{suffix}"
    soundfile.write(plain, np.zeros(8000), 16000)
    named = tmp_path / os.fsdecode(b"caf\xe9." + suffix.encode())
    plain.rename(named)
    assert audio.read(named)[1] == 16000


@pytest.mark.parametrize("rate", [16000, 22050])
def test_blocks_are_what_is_read_at_once(tmp_path, rate):
    soundfile.write(tmp_path / "a.wav", sine(440, rate, seconds=10.3), rate)
    blocks = list(audio.blocks(tmp_path / "a.wav", sample_rate=16000))
    whole, _ = audio.read(tmp_path / "a.wav")
    np.testing.assert_array_equal(np.concatenate(blocks), whole)
    assert rate != 16000 or len(blocks) > 2


def test_blocks_of_a_damaged_recording_are_a_user_error(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"RIFF of nothing")
    soundfile.write(tmp_path / "nan.wav", np.full(99, np.nan), 16000, subtype="FLOAT")
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 16000)
    for name, said in (("a", "not a readable"), ("nan", "holds NaN"), ("empty", "no audio")):
        with pytest.raises(UserError, match=rf"{name}\.wav: .*{said}"):
            list(audio.blocks(tmp_path / f"{name}.wav", sample_rate=16000))


@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
def test_blocks_written_end_to_end_are_read_back(tmp_path, name):
    samples = audio.to_int16(sine(440, 16000))
    audio.write_blocks(tmp_path / name, np.split(samples, [100, 9000]), 16000)
    found, rate = soundfile.read(tmp_path / name, dtype="int16")
    assert rate == 16000
    np.testing.assert_array_equal(found, samples)


def test_blocks_that_cannot_be_written_are_a_user_error(tmp_path):
    with pytest.raises(UserError, match=r"a\.wav: cannot be written"):
        audio.write_blocks(tmp_path / "none" / "a.wav", [], 16000)
