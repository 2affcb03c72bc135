"""The acceptance: 200 mutated files beside good ones are read or named; nothing hangs or dies."""

from __future__ import annotations

import io
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audio_edge import audio
from audio_edge.config import from_dict
from audio_edge.datasets import pipeline
from audio_edge.datasets.index import Clip, Index
from audio_edge.errors import UserError

RATE, CLIP = 16000, 1600
FORMATS = ("wav", "flac", "ogg", "mp3")
TONE = 0.5 * np.sin(2 * np.pi * 440 * np.arange(3 * CLIP) / RATE)
READABLE, BAD, EITHER = "readable", "bad", "either"


def encoded(suffix, wave=TONE, **keys) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, wave, RATE, format=suffix.upper(), **keys)
    return file.getvalue()


def replaced(content: bytes, at: int, new: bytes) -> bytes:
    return content[:at] + new + content[at + len(new) :]


def flac_header(content: bytes, *, rate=None, frames=None) -> bytes:
    """Another rate (20 bits) or length (36 bits) in STREAMINFO, where they begin at byte 18."""
    value = int.from_bytes(content[18:26], "big")
    if rate is not None:
        value = value & ~(0xFFFFF << 44) | rate << 44
    if frames is not None:
        value = value & ~0xFFFFFFFFF | frames
    return replaced(content, 18, value.to_bytes(8, "big"))


def flipped(content: bytes, rng: np.random.Generator, first: int, last: int, count: int) -> bytes:
    changed = bytearray(content)
    for place in rng.integers(first, min(last, len(content)), count):
        changed[place] ^= int(rng.integers(1, 256))
    return bytes(changed)


def mutations(rng: np.random.Generator) -> dict[str, tuple[bytes, str]]:
    """File name -> (content, what must become of it)."""
    whole = {suffix: encoded(suffix) for suffix in FORMATS}
    made: dict[str, tuple[bytes, str]] = {}

    for suffix, content in whole.items():
        made[f"empty.{suffix}"] = b"", BAD
        made[f"zeros.{suffix}"] = bytes(len(content)), BAD
        made[f"magic.{suffix}"] = replaced(content, 0, b"JUNK"), EITHER if suffix == "mp3" else BAD
        made[f"text.{suffix}"] = b"Dear diary, nothing was recorded today.\n" * 99, BAD
        made[f"noise.{suffix}"] = rng.bytes(5000), EITHER  # an MP3 may begin anywhere
        for place in (1, 4, 12, 20, 36):
            made[f"cut{place}.{suffix}"] = content[:place], BAD
        for part in (0.3, 0.6, 0.95):
            made[f"part{part}.{suffix}"] = content[: int(part * len(content))], EITHER
        made[f"tail.{suffix}"] = content + rng.bytes(1000), EITHER
        made[f"middle.{suffix}"] = content[: len(content) // 2] * 2, EITHER
        made[f"twice.{suffix}"] = content * 2, EITHER

    wav, flac = whole["wav"], whole["flac"]
    hours = 8 * 3600 * RATE
    for name, size in (("8h", 2 * hours), ("endless", 2**32 - 1)):  # the samples that are there
        lying = replaced(wav, 40, size.to_bytes(4, "little"))
        made[f"{name}.wav"] = (
            replaced(lying, 4, min(size + 36, 2**32 - 1).to_bytes(4, "little")),
            READABLE,
        )
    made["stream.flac"] = flac_header(flac, frames=0), READABLE  # as encoders write into a pipe
    made["8h.flac"] = flac_header(flac, frames=hours), BAD
    made["0hz.wav"] = replaced(wav, 24, bytes(4)), BAD
    made["0hz.flac"] = flac_header(flac, rate=0), BAD
    made["1hz.wav"] = replaced(wav, 24, (1).to_bytes(4, "little")), BAD
    made["4ghz.wav"] = replaced(wav, 24, b"\xff" * 4), BAD
    made["odd_rate.wav"] = replaced(wav, 24, (16001).to_bytes(4, "little")), READABLE
    made["0channels.wav"] = replaced(wav, 22, bytes(2)), BAD
    made["0bits.wav"] = replaced(wav, 34, bytes(2)), BAD
    made["no_frames.wav"] = encoded("wav", TONE[:0]), BAD
    made["one_frame.wav"] = encoded("wav", TONE[:1]), READABLE
    made["channels32.wav"] = encoded("wav", np.tile(TONE[:, None], 32)), READABLE
    made["channels65.wav"] = encoded("wav", np.tile(TONE[:, None], 65)), BAD
    for name, value in (("nan", np.nan), ("inf", np.inf), ("minus_inf", -np.inf)):
        wave = TONE.copy()
        wave[100] = value
        for subtype in ("FLOAT", "DOUBLE"):
            made[f"{name}_{subtype}.wav"] = encoded("wav", wave, subtype=subtype), BAD
    made["all_nan.wav"] = encoded("wav", TONE * np.nan, subtype="FLOAT"), BAD
    made["huge.wav"] = encoded("wav", TONE * 1e300, subtype="DOUBLE"), BAD  # infinite in float32
    made["over.wav"] = encoded("wav", TONE * 100, subtype="FLOAT"), READABLE  # clipped
    made["tiny.wav"] = encoded("wav", TONE * 1e-40, subtype="FLOAT"), READABLE
    made["mp3_inside.wav"] = whole["mp3"], EITHER
    made["ogg_inside.mp3"] = whole["ogg"], EITHER

    number = 0
    while len(made) < 200:
        suffix = FORMATS[number % 4]
        header = number % 3 == 0  # every third in the header alone, where it hurts most
        name = f"flip{number:03}.{suffix}"
        last = 60 if header else len(whole[suffix])
        made[name] = flipped(whole[suffix], rng, 4 if header else 0, last, 1 + number % 20), EITHER
        number += 1
    return made


@pytest.fixture(scope="module")
def mutated(tmp_path_factory):
    """(folder, files and their fate, index with 40 good clips among the 200, config)."""
    root = tmp_path_factory.mktemp("mutated") / "data"
    (root / "a").mkdir(parents=True)
    files = mutations(np.random.default_rng(1))
    assert len(files) == 200
    for place in range(40):
        suffix = FORMATS[place % 4]
        # each good file differs, so that the cache cannot lend it another's samples
        wave = np.concatenate([TONE * (0.5 + place / 100), TONE[: place + 1]])
        files[f"good{place:02}.{suffix}"] = encoded(suffix, wave), READABLE
    for name, (content, _) in files.items():
        (root / "a" / name).write_bytes(content)
    clips = tuple(Clip(path, "a", path.name, "test") for path in sorted((root / "a").iterdir()))
    data = {
        "root": str(root), "cache": str(root.parent / "cache"), "clip_s": CLIP / RATE,
        "max_bad_share": 1.0, "decode_timeout_s": 10.0,
    }  # fmt: skip
    return files, Index(root, ("a", "b"), clips, ()), from_dict({"data": data})


@pytest.fixture(scope="module")
def outcome(mutated):
    """One load of the whole folder: (split, reasons by file name, seconds)."""
    _, index, config = mutated
    reasons = {}
    with pytest.MonkeyPatch.context() as patch:
        decode = pipeline.decoder.decode

        def spy(paths, *rest, **keys):
            good, bad = decode(paths, *rest, **keys)
            reasons.update({path.name: reason for path, reason in bad.items()})
            return good, bad

        patch.setattr(pipeline.decoder, "decode", spy)
        start = time.monotonic()
        split = pipeline.load(config, index, "test")
    return split, reasons, time.monotonic() - start


def test_every_file_is_read_or_named(mutated, outcome):
    files, (split, reasons, _) = mutated[0], outcome
    read = [Path(name).name for name in split.names]
    assert sorted([*read, *reasons]) == sorted(files)
    assert read == sorted(read)  # the order of the index


def test_bad_files_are_left_out_and_readable_ones_are_not(mutated, outcome):
    files, (_, reasons, _) = mutated[0], outcome
    assert not {name for name, (_, fate) in files.items() if fate == BAD} - set(reasons)
    wrongly = {n: reasons[n] for n, (_, fate) in files.items() if fate == READABLE and n in reasons}
    assert not wrongly


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("empty.flac", "it is empty"),
        ("text.wav", "not a readable recording (Format not recognised)"),
        ("text.mp3", "not a readable recording (Format not recognised)"),
        ("8h.flac", "28800 s by its header, more than the limit of 600 s"),
        ("1hz.wav", "sample rate 1 Hz is not between"),
        ("no_frames.wav", "holds no audio"),
        ("channels65.wav", "65 channels, more than 64"),
        ("nan_FLOAT.wav", "NaN or infinite"),
        ("huge.wav", "NaN or infinite"),
    ],
)
def test_reason_names_the_file_and_what_is_wrong_with_it(mutated, outcome, name, reason):
    path = mutated[1].root / "a" / name
    assert outcome[1][name].startswith(f"{path}: ")
    assert reason in outcome[1][name]


def test_every_reason_is_one_line_with_a_remedy(outcome):
    for reason in outcome[1].values():
        assert "\n" not in reason
        assert any(word in reason for word in ("remove", "convert", "cut it", "mix", "export"))


def test_no_worker_hung_or_died(outcome):
    assert not [reason for reason in outcome[1].values() if "died or took over" in reason]
    assert outcome[2] < 60  # the acceptance; 3 s here on two shared cores


def test_samples_are_those_of_the_good_files(mutated, outcome):
    split = outcome[0]
    assert split.waveforms.dtype == np.int16
    assert split.waveforms.shape == (len(split.names), CLIP)
    for name, wave in zip(split.names, split.waveforms, strict=True):
        if "good" in name:
            level = 16384 * (0.5 + int(Path(name).stem[4:]) / 100)
            # the loudest tenth of a second of a tone; the tail of 40 samples may be louder
            assert np.sqrt(2 * np.mean(np.square(wave.astype(float)))) == pytest.approx(
                level, rel=0.05
            )


def test_flac_written_into_a_pipe_is_read_whole(tmp_path):
    (tmp_path / "a.flac").write_bytes(flac_header(encoded("flac"), frames=0))
    read, _ = audio.read(tmp_path / "a.flac")
    np.testing.assert_allclose(read, TONE, atol=1 / 32768)  # one step of int16


def test_32_channels_are_mixed_down(outcome):
    split = outcome[0]
    place = split.names.index("a/channels32.wav")
    # equal channels: the mean is each of them, the tone at half of full scale
    assert np.abs(split.waveforms[place]).max() == pytest.approx(16384, abs=2)


def test_many_channels_are_mixed_block_by_block(tmp_path):
    wave = np.zeros((20 * RATE, 32), np.int16)
    soundfile.write(tmp_path / "a.wav", wave, RATE)
    tracemalloc.start()
    try:
        audio.read(tmp_path / "a.wav")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # float32: all channels take 41 MB, one 1.3 MB, a block of 65536 frames 8.4 MB
    assert peak < 25e6


def test_too_many_bad_files_stop_with_their_count_and_the_key(mutated, outcome):
    _, index, config = mutated
    count = len(outcome[1])
    values = config.to_dict()
    values["data"]["max_bad_share"] = 0.2
    wanted = (
        f"{count} of 240 files are bad, more than data.max_bad_share = 0.2; the first: {index.root}"
    )
    with pytest.raises(UserError) as caught:
        pipeline.load(from_dict(values), index, "test")
    assert str(caught.value).startswith(wanted)


def test_bad_noise_recordings_are_left_out_and_the_rest_serves(mutated, tmp_path):
    files, index, config = mutated
    noise = [index.root / "a" / name for name in ("text.wav", "0hz.flac", "nan_FLOAT.wav")]
    soundfile.write(tmp_path / "hum.wav", np.tile(TONE, 10), RATE)
    where = Index(index.root, index.labels, (), (*noise, tmp_path / "hum.wav"))
    assert list(pipeline.noise_bank(config, where, "test")) == ["hum.wav"]
