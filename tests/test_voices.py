"""Offline voices: choice and split."""

from __future__ import annotations

import pytest

from audio_edge.datasets import voices
from audio_edge.datasets.voices import Voice
from audio_edge.errors import UserError

SHARES = (0.1, 0.1)


def test_a_name_gives_the_voice_back():
    for who in voices.choose(60, seed=1):
        assert voices.voice(who.name) == who


@pytest.mark.parametrize("name", ["espeak.en-US.nobody", "espeak.en-GB.f1", "pico.de", "f1", ""])
def test_an_unknown_voice_is_named(name):
    with pytest.raises(UserError, match="no such voice"):
        voices.voice(name)


def test_voices_are_distinct_and_no_more_than_there_are():
    most = len(voices.PICO) + len(voices.VARIANTS) * len(voices.ACCENTS)
    chosen = voices.choose(most, seed=0)
    assert len(set(chosen)) == most
    with pytest.raises(UserError, match=str(most)):
        voices.choose(most + 1, seed=0)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("count", [6, 12, 48, 200])
def test_no_split_is_empty_and_pico_is_on_both_sides(seed, count):
    chosen = voices.choose(count, seed)
    splits = {who: voices.split_of(who, seed, *SHARES) for who in chosen}
    assert set(splits.values()) == {"train", "val", "test"}
    assert {splits[who] for who in chosen if who.engine == "pico"} == {"train", "test"}


def test_a_variant_has_one_split_in_every_accent():
    for variant in voices.VARIANTS:
        accents = (Voice("espeak", accent, variant) for accent in voices.ACCENTS)
        assert len({voices.split_of(who, 3, *SHARES) for who in accents}) == 1


def test_shares_are_kept_to_one_voice():
    chosen = voices.choose(48, seed=5)
    splits = [voices.split_of(who.name, 5, 0.2, 0.15) for who in chosen]
    assert abs(splits.count("val") - 0.2 * 48) <= 1
    assert abs(splits.count("test") - 0.15 * 48) <= 1


def test_a_voice_keeps_its_split_when_voices_are_added():
    few, many = voices.choose(10, seed=2), voices.choose(48, seed=2)
    assert few == many[:10]
