"""From files to arrays: centring, resampling, silence, noise, epochs, and what is never opened."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import tensorflow as tf

from audio_edge import audio, train
from audio_edge.config import DataConfig, from_dict
from audio_edge.datasets import decoder, pipeline
from audio_edge.datasets.index import Clip, Index
from audio_edge.datasets.pipeline import SILENCE_GAINS, epoch_order
from audio_edge.errors import UserError

RATE, CLIP = 16000, 1600


def tone(frequency, seconds=0.1, rate=RATE):
    return 0.5 * np.sin(2 * np.pi * frequency * np.arange(round(rate * seconds)) / rate)


def write(path: Path, wave, rate=RATE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, wave, rate, subtype="PCM_16")
    return path


def settings(root: Path, **data):
    return from_dict(
        {"data": {"root": str(root), "cache": str(root.parent / "cache"), "clip_s": 0.1, **data}}
    )


def dataset(root: Path, words=("yes", "no"), speakers="abcdef", noise=None) -> Path:
    """One tone a clip, so that clips can be told apart."""
    for place, word in enumerate(words):
        for number, who in enumerate(speakers):
            write(root / word / f"{who}_nohash_0.wav", tone(200 + 400 * place + 50 * number))
    if noise is not None:
        write(root / "_background_noise_" / "ramp.wav", noise)
    return root


@pytest.mark.parametrize(
    ("given", "length", "wanted"),
    [
        ([1, 2, 3], 6, [0, 1, 2, 3, 0, 0]),
        ([1, 2, 3], 5, [0, 1, 2, 3, 0]),
        ([1, 2, 3, 4], 4, [1, 2, 3, 4]),
        ([0, 1, 2, 3, 4, 5], 3, [1, 2, 3]),
        ([1, 2, 3, 4], 1, [2]),
        ([], 2, [0, 0]),
    ],
)
def test_centre_pads_or_crops_both_sides(given, length, wanted):
    found = pipeline._centre(tf.constant(given, tf.int16), length)
    np.testing.assert_array_equal(found, wanted)


def test_load_gives_int16_samples_labels_and_names(tmp_path):
    root = dataset(tmp_path / "data")
    config = settings(root)
    index = pipeline.index(config)
    seen = 0
    for name in ("train", "val", "test"):
        split = pipeline.load(config, index, name)
        assert split.waveforms.dtype == np.int16
        assert split.labels.dtype == np.int64
        for wave, label, file in zip(split.waveforms, split.labels, split.names, strict=True):
            np.testing.assert_array_equal(wave, soundfile.read(root / file, dtype="int16")[0])
            assert index.labels[label] == file.split("/")[0]
            seen += 1
    assert seen == 12


def only(root: Path, *paths: Path) -> Index:
    return Index(root, ("a", "b"), tuple(Clip(path, "a", path.name, "test") for path in paths), ())


def loaded(config, *paths: Path) -> np.ndarray:
    return pipeline.load(config, only(Path(config.data.root), *paths), "test").waveforms


def test_short_files_stand_in_the_middle_and_long_ones_give_their_loudest_part(tmp_path):
    short = write(tmp_path / "d" / "short.wav", np.full(600, 0.25))
    wave = np.zeros(RATE)
    wave[9000:10600] = 0.25
    long = write(tmp_path / "d" / "long.wav", wave)
    found = loaded(settings(tmp_path / "d"), short, long)
    np.testing.assert_array_equal(found[0], np.pad(np.full(600, 8192), 500))
    assert (found[1] == 8192).sum() >= CLIP - CLIP // 100  # placed to a hundredth of the clip


def test_order_of_clips_is_that_of_the_index_whatever_their_rates(tmp_path):
    rates = [16000, 8000, 16000, 48000, 8000]
    paths = [
        write(tmp_path / "d" / f"{n}.wav", np.full(rate // 10, (n + 1) / 8), rate)
        for n, rate in enumerate(rates)
    ]
    found = loaded(settings(tmp_path / "d"), *paths)
    # the middle of a constant is that constant at any rate, but for the filters' ripple of 1e-3
    np.testing.assert_allclose(found[:, CLIP // 2] / 4096, [1, 2, 3, 4, 5], rtol=2e-3)


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
def test_other_rates_are_resampled_as_a_device_would_and_only_once(tmp_path, rate):
    path = write(tmp_path / "d" / "high.wav", tone(1000, 0.5, rate), rate)
    config = settings(tmp_path / "d", clip_s=0.5)
    wanted = audio.to_int16(audio.read(path, sample_rate=RATE)[0])
    np.testing.assert_array_equal(loaded(config, path)[0], wanted)
    cached = list((tmp_path / "cache").rglob("*.wav"))
    assert [soundfile.info(file).samplerate for file in cached] == [RATE]


def test_resampling_leaves_no_alias(tmp_path):
    path = write(tmp_path / "d" / "high.wav", tone(11000, 0.5, 48000), 48000)
    found = loaded(settings(tmp_path / "d", clip_s=0.5), path)[0]
    assert np.abs(found[800:-800]).max() <= 16384 / 1000  # 60 dB below the tone


def test_without_resampling_another_rate_is_named(tmp_path, caplog):
    root = tmp_path / "d"
    good, wrong = (
        write(root / "a.wav", tone(500)),
        write(root / "b.wav", tone(500, rate=8000), 8000),
    )
    config = settings(root, resample=False, max_bad_share=0.5)
    assert len(loaded(config, good, wrong)) == 1
    remedy = "set data.resample = true or convert it to 16000 Hz"
    assert f"left out: {wrong}: 8000 Hz, and resampling is off; {remedy}" in caplog.messages
    assert "1 of 2 files left out" in caplog.messages
    with pytest.raises(UserError, match="1 of 2 files are bad, more than data.max_bad_share = 0.4"):
        loaded(settings(root, resample=False, max_bad_share=0.4), good, wrong)


def test_silence_cuts_are_ten_at_equal_spacing_each_at_its_gain():
    bank = {"up": np.arange(1000, dtype=np.float32), "down": -np.arange(190, dtype=np.float32)}
    cuts, names = pipeline.silence_cuts(bank, 100)
    gains = [0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 0.5, 0.7, 1.0]  # those of the protocol
    wanted = [np.arange(100 * i, 100 * i + 100) * gain for i, gain in enumerate(gains)]
    wanted += [-np.arange(10 * i, 10 * i + 100) * gain for i, gain in enumerate(gains)]
    np.testing.assert_allclose(cuts, wanted, rtol=1e-6)  # float32
    assert names[:2] == ("up@0x0", "up@100x0.001")
    assert names[-1] == "down@90x1"


@pytest.fixture
def noisy(tmp_path):
    """A data set whose noise rises from 0 to 0.25, so that a value tells its place."""
    root = dataset(tmp_path / "data", noise=np.linspace(0, 0.25, 10 * RATE))
    config = settings(root, silence=True)
    return config, pipeline.index(config)


def test_noise_regions_of_the_splits_never_overlap(noisy):
    spans = {}
    for split in ("train", "val", "test"):
        part = pipeline.noise_bank(*noisy, split)["ramp.wav"]
        spans[split] = (part.min(), part.max())
        assert len(part) == {"train": 7, "val": 1, "test": 2}[split] * RATE
    # in shares of the whole recording's peak; one int16 step of 0.25 is 1.2e-4 of it
    np.testing.assert_allclose(
        [spans["train"], spans["val"], spans["test"]], [(0, 0.7), (0.7, 0.8), (0.8, 1)], atol=2e-4
    )
    assert spans["train"][1] <= spans["val"][0] + 1e-7
    assert spans["val"][1] <= spans["test"][0] + 1e-7


def test_training_also_gets_made_up_noise_and_the_judging_splits_do_not(noisy):
    assert len(pipeline.noise_bank(*noisy, "train")) > 5
    for split in ("val", "test"):
        assert list(pipeline.noise_bank(*noisy, split)) == ["ramp.wav"]


def test_further_sounds_are_half_of_what_training_draws_and_no_other_split_hears_them(tmp_path):
    root = dataset(tmp_path / "data", noise=np.linspace(0, 0.25, 10 * RATE))
    for number, level in enumerate((0.1, 0.5)):  # each comes at peak 1
        write(tmp_path / "sounds" / f"{number}-rain.wav", np.full(3 * RATE, level))
    write(tmp_path / "sounds" / "9-dog.wav", np.zeros(RATE))
    pattern = str(tmp_path / "sounds" / "[01]-*")
    config = settings(root, silence=True, noise=[pattern])
    index = pipeline.index(config)
    assert [path.name for path in index.sounds] == ["0-rain.wav", "1-rain.wav"]
    bank = pipeline.noise_bank(config, index, "train")
    sounds = [wave for name, wave in bank.items() if name.startswith("sounds_")]
    assert len(sounds) == len(bank) / 2
    np.testing.assert_allclose(np.concatenate(sounds), np.ones(6 * RATE), atol=1e-6)
    for split in ("val", "test"):
        assert list(pipeline.noise_bank(config, index, split)) == ["ramp.wav"]
    plain = pipeline.index(settings(root, silence=True))
    assert index.fingerprint() != plain.fingerprint()
    assert index.clips == plain.clips
    whole = pipeline.index(settings(root, silence=True, noise=[str(tmp_path / "sounds")]))
    assert len(whole.sounds) == 3


def test_noise_that_names_nothing_is_refused(tmp_path):
    config = settings(dataset(tmp_path / "data"), noise=[str(tmp_path / "sounds")])
    with pytest.raises(UserError, match=r"data\.noise: no recordings in .*sounds"):
        pipeline.index(config)


def test_training_gets_the_recorded_noise_alone_without_made_noise(noisy):
    config, index = noisy
    alone = dataclasses.replace(config.augment, made_noise=False)
    bank = pipeline.noise_bank(dataclasses.replace(config, augment=alone), index, "train")
    assert list(bank) == ["ramp.wav"]


def test_without_recorded_noise_every_split_makes_up_its_own(tmp_path):
    config = settings(dataset(tmp_path / "data"), silence=True)
    index = pipeline.index(config)
    banks = [pipeline.noise_bank(config, index, split) for split in ("train", "val", "test")]
    again = pipeline.noise_bank(config, index, "val")
    for name, noise in banks[1].items():
        np.testing.assert_array_equal(again[name], noise)
        assert len(noise) >= 20 * RATE
        assert (banks[0][name] != noise).mean() > 0.9
        assert (banks[2][name] != noise).mean() > 0.9


def test_judging_splits_end_with_cuts_of_silence_and_training_has_none(noisy):
    config, index = noisy
    silence = index.labels.index("silence")
    for split in ("val", "test"):
        found = pipeline.load(config, index, split)
        assert (found.labels[-10:] == silence).all()
        assert (found.labels[:-10] != silence).all()
        assert [name.rpartition("x")[2] for name in found.names[-10:]] == [
            f"{gain:g}" for gain in SILENCE_GAINS
        ]
        cuts, _ = pipeline.silence_cuts(pipeline.noise_bank(config, index, split), CLIP)
        np.testing.assert_array_equal(found.waveforms[-10:], audio.to_int16(cuts))
    assert silence not in pipeline.load(config, index, "train").labels


def test_training_opens_no_file_of_the_test(noisy, monkeypatch):
    config, index = noisy
    opened = []
    decode = decoder.decode

    def spy(paths, *rest, **keys):
        opened.extend(paths)
        return decode(paths, *rest, **keys)

    monkeypatch.setattr(decoder, "decode", spy)
    test = [clip.path for clip in index.split("test")]
    for path in test:
        path.unlink()  # nor could it be opened
    material = train.load_material(config, index)
    assert test
    assert not set(test) & set(opened)
    wanted = {clip.path for clip in index.clips} - set(test) | set(index.noise)
    assert set(opened) == wanted
    assert len(material.train.labels) + len(material.val.labels) - 10 == 12 - len(test)


def test_loading_twice_gives_the_same_bits(noisy):
    config, index = noisy
    first, second = (pipeline.load(config, index, "val") for _ in range(2))
    np.testing.assert_array_equal(first.waveforms, second.waveforms)
    assert first.names == second.names


def test_progress_counts_every_file(tmp_path):
    config = settings(dataset(tmp_path / "data"))
    index = pipeline.index(config)
    counted = []
    pipeline.load(config, index, "train", progress=counted.append)
    assert sum(counted) == len(index.split("train"))


def test_unusable_requests_are_one_sentence(tmp_path, caplog):
    config = settings(dataset(tmp_path / "data"))
    index = pipeline.index(config)
    with pytest.raises(UserError, match="split must be one of train, val, test. Received: 'all'"):
        pipeline.load(config, index, "all")
    with pytest.raises(UserError, match="data.root is not set"):
        pipeline.index(from_dict({}))
    for clip in index.split("train") + index.split("test"):
        if clip.label == "no":
            clip.path.write_bytes(b"")
    config = settings(tmp_path / "data", max_bad_share=1.0)
    with pytest.raises(UserError, match="no usable clip of 'no' in the train split"):
        pipeline.load(config, index, "train")
    pipeline.load(config, index, "test")
    assert any("no usable clip of 'no' in the test split" in text for text in caplog.messages)


def test_load_folder_takes_files_of_no_index(tmp_path):
    root = dataset(tmp_path / "data")
    clips = [(root / "no" / "b_nohash_0.wav", 1), (root / "yes" / "a_nohash_0.wav", 0)]
    split = pipeline.load_folder(root, settings(root).data, clips)
    assert split.names == ("no/b_nohash_0.wav", "yes/a_nohash_0.wav")
    np.testing.assert_array_equal(split.labels, [1, 0])
    for (path, _), wave in zip(clips, split.waveforms, strict=True):
        np.testing.assert_array_equal(wave, soundfile.read(path, dtype="int16")[0])


def test_a_moved_data_set_decodes_nothing_again(tmp_path):
    config = settings(dataset(tmp_path / "data"))
    pipeline.load(config, pipeline.index(config), "train")
    cached = {p: p.stat().st_mtime_ns for p in (tmp_path / "cache").rglob("*.wav")}
    shutil.move(tmp_path / "data", tmp_path / "moved")
    config = settings(tmp_path / "moved")
    pipeline.load(config, pipeline.index(config), "train")
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "cache").rglob("*.wav")} == cached


CLASSES = ("yes", "no", "silence", "unknown")
LABELS = np.repeat([0, 1, 3], [30, 10, 200])[np.random.default_rng(0).permutation(240)]


def order(*, seed=0, epoch=0, labels=LABELS, **keys):
    keys = {"silence_share": 0.0, **keys}
    return epoch_order(labels, CLASSES, DataConfig(**keys), seed=seed, epoch=epoch)


def test_order_is_a_pure_function_of_seed_and_epoch():
    first = [order(seed=1, epoch=epoch, silence_share=0.2, unknown_share=0.3) for epoch in range(3)]
    np.random.seed(5)  # noqa: NPY002 - no global state plays a part
    for epoch in (2, 0, 1):
        again = order(seed=1, epoch=epoch, silence_share=0.2, unknown_share=0.3)
        np.testing.assert_array_equal(again, first[epoch])
    assert not np.array_equal(first[0], first[1])
    assert not np.array_equal(first[0], order(seed=2, silence_share=0.2, unknown_share=0.3))


def test_every_clip_comes_once_when_nothing_is_weighted():
    found = order()
    np.testing.assert_array_equal(np.sort(found), np.arange(240))
    assert not np.array_equal(found, np.sort(found))
    # mixed: labels of the first and second half are alike, not one class after the other
    halves = [np.bincount(LABELS[part], minlength=4) for part in np.split(found, 2)]
    assert np.abs(halves[0] - halves[1]).max() < 40


@pytest.mark.parametrize("share", [0.05, 0.1, 0.5])
def test_silence_gets_its_share_of_the_epoch(share):
    found = order(silence_share=share)
    assert abs((found < 0).sum() - share * len(found)) <= 0.5  # whole clips
    np.testing.assert_array_equal(np.sort(found[found >= 0]), np.arange(240))


def test_silence_takes_no_share_where_it_is_no_class():
    found = epoch_order(
        np.array([0, 1, 1]), ("a", "b"), DataConfig(silence_share=0.5), seed=0, epoch=0
    )
    np.testing.assert_array_equal(np.sort(found), [0, 1, 2])


@pytest.mark.parametrize("share", [0.1, 0.25, 0.6, 0.85])
def test_unknown_is_cut_or_repeated_to_its_share(share):
    found = order(unknown_share=share, silence_share=0.05)
    counts = np.bincount(found[found >= 0], minlength=240)
    assert (counts[LABELS != 3] == 1).all()  # words as they are
    unknown = counts[LABELS == 3]
    assert unknown.max() - unknown.min() <= 1  # none again before all have come
    assert unknown.sum() / len(found) == pytest.approx(share, abs=1 / len(found))
    assert (found < 0).sum() / len(found) == pytest.approx(0.05, abs=1 / len(found))


def test_cut_unknown_clips_change_from_epoch_to_epoch():
    seen = {row for epoch in range(200) for row in order(unknown_share=0.2, epoch=epoch)}
    # 10 of 200 an epoch: one clip is missed in all of 200 with a chance of 4e-5
    assert len(seen) == 240


def test_balance_draws_as_many_of_each_word():
    found = order(balance=True)
    counts = np.bincount(found, minlength=240)
    for word, size in ((0, 30), (1, 10)):
        of_word = counts[word == LABELS]
        assert of_word.sum() == 20  # the mean of 30 and 10
        assert of_word.max() - of_word.min() <= 1
        assert len(of_word) == size
    assert (counts[LABELS == 3] == 1).all()  # unknown is no word


def test_every_epoch_is_as_long_as_the_first():
    keys = {"balance": True, "unknown_share": 0.3, "silence_share": 0.15}
    assert len({len(order(epoch=epoch, **keys)) for epoch in range(10)}) == 1
