"""Decoding once: what comes back, what the cache saves, what a hanging or dying worker costs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audio_edge import audio
from audio_edge.datasets import decoder
from audio_edge.errors import UserError

RATE = 16000


def sine(seconds=0.2, rate=RATE, frequency=440.0):
    return 0.5 * np.sin(2 * np.pi * frequency * np.arange(round(rate * seconds)) / rate)


def written(path: Path, wave=None, rate=RATE, **keys) -> Path:
    soundfile.write(path, sine() if wave is None else wave, rate, **keys)
    return path


def samples(decoded: decoder.Decoded) -> np.ndarray:
    found, rate = soundfile.read(decoded.path, dtype="int16", always_2d=True)
    assert rate == decoded.sample_rate
    assert found.shape[1] == 1
    assert soundfile.info(decoded.path).subtype == "PCM_16"
    return found[:, 0]


LOSSLESS, LOSSY = 1 / 32768, 0.02  # one step of int16; Vorbis, Opus and MP3 on a tone


@pytest.mark.parametrize(
    ("name", "rate", "keys", "step"),
    [
        ("a.wav", 16000, {"subtype": "PCM_16"}, LOSSLESS),
        ("a.wav", 8000, {"subtype": "PCM_U8"}, 1 / 128),
        ("a.wav", 44100, {"subtype": "PCM_24"}, LOSSLESS),
        ("a.wav", 48000, {"subtype": "PCM_32"}, LOSSLESS),
        ("a.wav", 22050, {"subtype": "FLOAT"}, LOSSLESS),
        ("a.flac", 16000, {"subtype": "PCM_24"}, LOSSLESS),
        ("a.aiff", 11025, {}, LOSSLESS),
        ("a.au", 16000, {"subtype": "ULAW"}, 0.02),
        ("a.ogg", 16000, {}, LOSSY),
        ("a.opus", 48000, {"format": "OGG", "subtype": "OPUS"}, LOSSY),
        ("a.mp3", 16000, {}, LOSSY),
    ],
)
def test_every_format_becomes_16_bit_mono_at_its_own_rate(tmp_path, name, rate, keys, step):
    path = written(tmp_path / name, sine(0.5, rate), rate, **keys)
    good, bad = decoder.decode([path], tmp_path / "cache", workers=1)
    assert not bad
    assert good[path].sample_rate == rate
    inner = slice(rate // 10, rate // 3)  # lossy codecs fade in and out
    np.testing.assert_allclose(
        samples(good[path])[inner] / 32768, sine(0.5, rate)[inner], atol=1.01 * step
    )


def test_order_is_kept_and_progress_counts_every_file(tmp_path):
    paths = [written(tmp_path / f"{name}.wav", sine(0.05)) for name in "hbgacfed"]
    paths[3:3] = [tmp_path / "none.wav"]
    (tmp_path / "text.wav").write_text("no sound " * 30)
    paths[6:6] = [tmp_path / "text.wav"]
    counted = []
    good, bad = decoder.decode(paths, tmp_path / "cache", workers=2, progress=counted.append)
    assert list(good) == [path for path in paths if path.stem not in ("none", "text")]
    assert list(bad) == [tmp_path / "none.wav", tmp_path / "text.wav"]
    assert counted == [1] * 10


def test_nothing_to_decode_starts_no_worker(tmp_path, monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a worker was started"))
    assert decoder.decode([], tmp_path) == ({}, {})


def test_wrong_content_is_named_with_its_reason(tmp_path):
    contents = {
        "empty.wav": (b"", "it is empty"),
        "text.flac": (b"words " * 100, "not a readable recording"),
    }
    for name, (content, _) in contents.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "folder.wav").mkdir()
    written(tmp_path / "nan.wav", np.array([0.1, np.nan]), subtype="FLOAT")
    written(tmp_path / "long.wav", sine(0.5))
    reasons = {name: reason for name, (_, reason) in contents.items()} | {
        "folder.wav": "cannot be read",
        "nan.wav": "NaN or infinite",
        "long.wav": "longer than the limit|more than the limit",
    }
    paths = [tmp_path / name for name in reasons]
    good, bad = decoder.decode(paths, tmp_path / "cache", max_s=0.4, workers=1)
    assert not good
    for path, message in bad.items():
        assert message.startswith(f"{path}: ")
        assert any(part in message for part in reasons[path.name].split("|")), message
    assert list(bad) == paths


def test_cache_is_used_again_by_content_and_not_rewritten(tmp_path):
    path = written(tmp_path / "a.wav")
    cache = tmp_path / "cache"
    first = decoder.decode_one(path, cache, clip_s=0.0, max_s=9.0)
    os.utime(first.path, ns=(10**18, 10**18))
    twin = tmp_path / "b.wav"
    shutil.copy(path, twin)
    assert decoder.decode_one(path, cache, clip_s=0.0, max_s=9.0) == first
    assert decoder.decode_one(twin, cache, clip_s=0.0, max_s=9.0) == first
    assert first.path.stat().st_mtime_ns == 10**18
    assert len([p for p in cache.rglob("*") if p.is_file()]) == 1


def test_cache_holds_one_entry_for_each_content_and_setting(tmp_path):
    path = written(tmp_path / "a.wav")
    cache = tmp_path / "cache"
    names = {decoder.decode_one(path, cache, clip_s=c, max_s=9.0).path for c in (0.0, 0.1, 0.15)}
    names.add(decoder.decode_one(path, cache, clip_s=0.0, max_s=8.0).path)
    written(path, sine(frequency=880.0))
    changed = decoder.decode_one(path, cache, clip_s=0.0, max_s=9.0)
    assert changed.path not in names
    assert len(names) == 4
    # soundfile wrote x * 32767, one step from x * 32768 at most
    np.testing.assert_allclose(samples(changed), audio.to_int16(sine(frequency=880.0)), atol=1)


def test_a_limit_refuses_what_the_cache_already_holds_under_a_longer_one(tmp_path):
    path = written(tmp_path / "a.wav", sine(0.5))
    assert decoder.decode([path], tmp_path / "cache", max_s=1.0, workers=1)[0]
    assert not decoder.decode([path], tmp_path / "cache", max_s=0.3, workers=1)[0]


def test_loudest_window_is_where_the_energy_is(rng):
    wave = rng.normal(scale=0.01, size=4000)
    wave[2345:2845] += sine(500 / RATE)
    found = decoder.loudest(wave, 500)
    places = np.lib.stride_tricks.sliding_window_view(wave, 500)
    best = np.square(places).sum(axis=1).argmax()  # the oracle: every window
    at = next(i for i in range(len(places)) if np.array_equal(places[i], found))
    assert abs(at - best) <= 5  # a hundredth of the window
    assert abs(at - 2345) <= 10


@pytest.mark.parametrize("length", [0, 1, 499, 500])
def test_loudest_leaves_shorter_waveforms_whole(length):
    wave = np.arange(length, dtype=np.float32)
    np.testing.assert_array_equal(decoder.loudest(wave, 500), wave)


@pytest.mark.parametrize("samples_", [1, 3, 50])
def test_loudest_of_silence_has_the_length_asked_for(samples_):
    assert len(decoder.loudest(np.zeros(51), samples_)) == samples_


def test_decode_keeps_the_loudest_window_at_the_rate_of_the_file(tmp_path):
    wave = np.zeros(RATE)
    wave[9000:9800] = 0.25
    path = written(tmp_path / "a.wav", wave)
    good, _ = decoder.decode([path], tmp_path / "cache", clip_s=0.05, workers=1)
    found = samples(good[path])
    assert len(found) == 800
    assert (found == 8192).sum() >= 792  # placed to a hundredth of the window


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_worker_that_hangs_costs_its_file_only(tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")  # opening it waits for a writer that never comes
    paths = [written(tmp_path / "a.wav"), tmp_path / "pipe.wav", written(tmp_path / "b.wav")]
    start = time.monotonic()
    good, bad = decoder.decode(paths, tmp_path / "cache", timeout_s=3.0, workers=1)
    assert list(good) == [paths[0], paths[2]]
    assert bad == {
        paths[1]: f"{paths[1]}: decoding died or took over 3 s; remove or convert it",
    }
    assert 3.0 <= time.monotonic() - start < 20.0  # one timeout, not three


FRAGILE = """
import os, signal
from audio_edge.datasets import decoder
from audio_edge.errors import UserError
whole = decoder.decode_one
def fragile(path, *rest, **keys):
    if path.name.startswith("kill"):
        os.kill(os.getpid(), signal.SIGKILL)
    if path.name.startswith("exit"):
        os._exit(3)
    if path.name.startswith("memory"):
        raise MemoryError
    return whole(path, *rest, **keys)
decoder.decode_one = fragile
decoder._serve_requests()
"""


@pytest.fixture
def fragile_workers(monkeypatch):
    """Real workers, but for names that make them die, as a codec's crash would."""
    popen = subprocess.Popen
    started = []

    def start(command, **keys):
        assert command == [sys.executable, "-m", "audio_edge.datasets.decoder"]
        started.append(popen([sys.executable, "-c", FRAGILE], **keys))
        return started[-1]

    monkeypatch.setattr(decoder.subprocess, "Popen", start)
    return started


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_worker_that_dies_costs_its_file_only(tmp_path, fragile_workers):
    names = ["kill1", "a", "exit1", "kill2", "memory1", "b", "kill3"]
    paths = [written(tmp_path / f"{name}.wav") for name in names]
    good, bad = decoder.decode(paths, tmp_path / "cache", timeout_s=30.0, workers=2)
    assert [path.stem for path in good] == ["a", "b"]
    assert [path.stem for path in bad] == ["kill1", "exit1", "kill2", "memory1", "kill3"]
    assert "MemoryError" in bad[paths[4]]
    assert all("died" in bad[paths[i]] for i in (0, 2, 3, 6))
    assert all(process.poll() is not None for process in fragile_workers)  # none is left behind


def test_no_worker_outlives_decode(tmp_path, fragile_workers):
    decoder.decode([written(tmp_path / "a.wav")], tmp_path / "cache", workers=4)
    assert len(fragile_workers) == 1  # never more workers than files
    assert fragile_workers[0].poll() is not None


def test_workers_find_the_package_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    good, bad = decoder.decode([written(Path("a.wav"))], Path("cache"), workers=1)
    assert (list(good), bad) == ([Path("a.wav")], {})


def test_strange_names_survive_the_pipe(tmp_path):
    names = ["ä ö.wav", "line\nbreak.wav", '"quoted".wav', "日本.wav", os.fsdecode(b"\xff\xfe.wav")]
    paths = [Path(shutil.copy(written(tmp_path / "a.wav"), tmp_path / name)) for name in names]
    good, bad = decoder.decode(paths, tmp_path / "cache", workers=1)
    assert (list(good), bad) == (paths, {})


def test_a_cache_that_cannot_be_written_is_an_error_and_leaves_no_file_out(tmp_path):
    (tmp_path / "cache").write_text("a file")
    path = written(tmp_path / "a.wav")
    with pytest.raises(UserError, match=r"data.cache: .*cannot be written"):
        decoder.decode([path], tmp_path / "cache", workers=1)


def test_an_error_of_ours_is_raised_and_loses_no_file_in_silence(tmp_path, fragile_workers):
    def broken(_):
        raise OSError("the terminal is gone")

    paths = [written(tmp_path / f"{name}.wav") for name in "abc"]
    with pytest.raises(OSError, match="the terminal is gone"):
        decoder.decode(paths, tmp_path / "cache", workers=2, progress=broken)
    assert all(process.poll() is not None for process in fragile_workers)
