"""What is switched, what is judged, and what the table of an ablation says."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from audio_edge import augment, paired
from audio_edge.ablation import judging, results, switches
from audio_edge.ablation.switches import BASE, NONE, SWITCHES, Variant
from audio_edge.config import AugmentConfig, Config, from_dict
from audio_edge.datasets import pipeline
from audio_edge.datasets.pipeline import Split
from audio_edge.errors import UserError

# How strong, how wide and how loud: they say nothing while the share or the number is zero.
RANGES = {"snr_db", "reverb_s", "eq_db", "mix_alpha", "time_width", "freq_width"}


def test_every_key_of_augment_is_switched_or_the_range_of_one_that_is():
    switched = [key for off, _ in SWITCHES.values() for key in off]
    assert sorted([*switched, *RANGES]) == sorted(
        field.name for field in dataclasses.fields(AugmentConfig)
    )
    assert all(off.keys() == on.keys() for off, on in SWITCHES.values())


def test_all_off_leaves_clips_as_they_are(rng):
    [_, none] = switches.variants(Config(), NONE)
    clips = tf.constant(rng.uniform(-0.9, 0.9, (8, 800)), tf.float32)
    targets, seed = tf.one_hot([0, 1] * 4, 2), tf.constant([3, 5], tf.int64)
    bank = augment.NoiseBank([np.ones(900, np.float32)], 800)
    heard = augment.waveforms(
        clips, tf.zeros(8, tf.bool), bank, none.augment, sample_rate=16000, seed=seed
    )
    np.testing.assert_allclose(heard, clips, atol=1e-6)  # moved by 0.0 samples in float32
    assert augment.mix(clips, targets, none.augment, seed=seed) == (clips, targets)
    features = tf.reshape(clips, [8, 40, 20, 1])
    assert augment.spec_augment(features, none.augment, seed=seed) is features


@pytest.mark.parametrize("name", SWITCHES)
def test_each_switch_turns_what_is_off_on_and_what_is_on_off(name):
    [base, none] = switches.variants(Config(), NONE)
    off = dataclasses.replace(Config(), augment=none.augment)
    [_, on] = switches.variants(off, name)
    assert on.state.startswith("on: ")
    [_, back] = switches.variants(dataclasses.replace(off, augment=on.augment), name)
    assert (back.name, back.state, back.augment) == (name, "off", none.augment)
    assert base == Variant(BASE, "as configured", Config().augment)


def test_strength_of_what_is_switched_on_is_stated():
    config = from_dict({"augment": {"gain_db": [0.0, 0.0], "reverb_s": [0.2, 0.3]}})
    found = {variant.name: variant for variant in switches.variants(config)}
    assert found["gain"].state == "on: gain_db -12 to 6"
    assert found["reverb"].state == "on: reverb_share 0.3"
    assert found["reverb"].augment.reverb_s == (0.2, 0.3)  # the config's own
    assert (found["shift"].state, found["none"].state) == ("off", "all off")


def test_config_with_nothing_on_is_not_trained_twice():
    values = {key: value for off, _ in SWITCHES.values() for key, value in off.items()}
    config = from_dict({"augment": values})
    assert NONE not in [variant.name for variant in switches.variants(config)]


@pytest.mark.parametrize("names", ["shfit", "shift,shift", "", "base"])
def test_unknown_names_are_refused(names):
    with pytest.raises(UserError, match=r"--only takes different names of shift, .*, none with"):
        switches.variants(Config(), names)


@pytest.mark.parametrize(
    ("labels", "noise", "share", "idle"),
    [
        (("a", "silence"), ("n.wav",), 0.0, []),
        (("a", "silence"), (), 0.5, ["made_noise"]),
        (("a", "b"), ("n.wav",), 0.5, ["digital_silence"]),
        (("a", "b"), ("n.wav",), 0.0, ["digital_silence", "made_noise"]),
    ],
)
def test_augmentations_that_would_change_nothing_are_named(labels, noise, share, idle):
    config = from_dict({"augment": {"noise_share": share}})
    index = SimpleNamespace(labels=labels, noise=noise)
    assert sorted(switches.without_effect(config, index)) == idle


def test_mixup_is_named_idle_where_every_clip_is_mixed_already():
    index = SimpleNamespace(labels=("a", "silence"), noise=("hiss.wav",))
    for share, idle in ((1.0, ["mixup"]), (0.9, [])):
        config = from_dict({"augment": {"mix_share": share}})
        assert sorted(switches.without_effect(config, index)) == idle


def test_run_of_a_variant_has_a_place_and_a_name_of_its_own(tmp_path):
    [_, variant] = switches.variants(Config(), "shift")
    made = variant.config(Config(), tmp_path, 7).to_dict()
    asked = Config().to_dict()
    assert made["run"]["name"] == "run_shift_seed7"
    assert made["run"]["dir"] == str(tmp_path / "shift/seed7")
    assert made["run"]["seed"] == 7
    assert made["augment"] == {**asked["augment"], "shift_s": 0.0}
    assert all(made[name] == asked[name] for name in asked if name not in ("run", "augment"))
    keeping = from_dict({"train": {"lessons": 5}})
    assert variant.config(keeping, tmp_path, 7).train.lessons == 0  # no other one hears them


def test_noise_is_mixed_into_the_clips_that_sound_and_silence_is_judged_apart(monkeypatch, rng):
    waveforms = (2000 * rng.normal(size=(4, 1600))).astype(np.int16)
    clips = Split(waveforms, np.array([0, 1, 0, 1]), ("a", "quiet", "b", "hush"))
    material = SimpleNamespace(val=clips, index=SimpleNamespace(labels=("word", "silence")))
    asked = []
    bank = {"hiss": rng.normal(size=4000)}
    monkeypatch.setattr(pipeline, "noise_bank", lambda *args: asked.append(args[2]) or bank)
    sets = judging.clip_sets(Config(), material, [0.0, 12.5])
    assert {name: part.names for name, part in sets.items()} == {
        "clean": ("a", "quiet", "b", "hush"), "silence": ("quiet", "hush"),
        "0 dB": ("a", "b"), "12.5 dB": ("a", "b"),
    }  # fmt: skip
    assert asked == ["val"]
    spoken = waveforms[[0, 2]].astype(float)
    for name, ratio in (("0 dB", 1.0), ("12.5 dB", 10**1.25)):
        noise = np.square(sets[name].waveforms - spoken).mean(axis=1)
        # rounding adds a twelfth of a step squared to a noise of hundreds of steps
        np.testing.assert_allclose(np.square(spoken).mean(axis=1) / noise, ratio, rtol=1e-3)


def heard(rights):
    return {f"clip{number}": int(right) for number, right in enumerate(rights)}


def test_change_of_one_seed_is_the_paired_comparison(rng):
    a, b = rng.random((2, 60)) < [[0.9], [0.7]]
    found, wanted = results.change([(heard(a), heard(b))]), paired.compare(a, b)
    for key in ("difference", "p_value", "only_a", "only_b"):
        assert found[key] == pytest.approx(wanted[key])
    assert found["interval"] == pytest.approx(wanted["interval"])
    assert found["deviation"] is None


def test_seeds_are_no_further_clips(rng):
    a, b = rng.random((2, 60)) < [[0.9], [0.7]]
    once = results.change([(heard(a), heard(b))])
    thrice = results.change(3 * [(heard(a), heard(b))])
    assert thrice.pop("deviation") == 0
    assert once.pop("deviation") is None
    assert thrice.pop("interval") == pytest.approx(once.pop("interval"))
    assert thrice == pytest.approx(once)


def test_seeds_that_contradict_each_other_leave_no_change():
    better, worse = heard([1] * 8 + [0, 1]), heard([0] * 8 + [0, 1])
    found = results.change([(better, worse), (worse, better)])
    assert (found["difference"], found["p_value"]) == (0.0, 1.0)
    assert found["deviation"] == pytest.approx(0.8 * 2**0.5)  # of +0.8 and -0.8


def test_change_on_different_clips_is_an_error():
    with pytest.raises(ValueError, match="same clips"):
        results.change([({"a": 1}, {"b": 1})])


def summed(seeds=(0,), missing=()):
    """Of 100 clips the config gets 90 right, without shift 80: ten that only the config gets."""
    variants = [Variant(BASE, "as configured", None), Variant("shift", "off", None)]
    rights = {BASE: [1] * 90 + [0] * 10, "shift": [1] * 80 + [0] * 20}
    judged = {
        name: {
            seed: {"clean": {"right": heard(each), "loss": 0.25 + seed}}
            for seed in seeds
            if (name, seed) not in missing
        }
        for name, each in rights.items()
    }
    return results.summary(
        "few", variants, judged, seeds=seeds, left_out={"eq": "nothing to filter"}
    )


def test_table_says_each_row_against_the_config():
    found = summed()
    row = found["rows"][1]["sets"]["clean"]
    assert (row["n"], row["accuracy"], row["loss"]) == (100, 0.8, 0.25)
    assert row["change"]["p_value"] == pytest.approx(2 / 2**10)
    text = results.markdown(found)
    assert "| base | as configured | 90.0 (82.6 to 94.5) |  | 0.250 |" in text
    # Bonett and Price with no clip that only the row gets, and ten that only the config gets
    assert "| shift | off | 80.0 (71.1 to 86.7) | -10.0 (-16.2 to -3.4), p 0.002 | 0.250 |" in text
    assert "Of 1 changes 1 have p < 0.05, where chance alone gives about 0.1; 1 hold" in text
    assert "One seed: " in text
    assert "Left out: eq, nothing to filter." in text


def test_table_of_an_ablation_under_way_says_what_is_missing():
    found = summed((0, 4), missing=[("shift", 4)])
    assert [row["seeds"] for row in found["rows"]] == [[0, 4], [0]]
    assert found["rows"][0]["sets"]["clean"]["loss"] == 2.25  # mean of 0.25 and 4.25
    text = results.markdown(found)
    assert "| base | as configured | 90.0 ± 0.0 (82.6 to 94.5) |" in text
    assert "Not finished: shift has seeds 0 only." in text
    assert "over the seeds 0, 4" in text
    assert results.markdown(summed((0,), missing=[("shift", 0)]))  # the config alone
