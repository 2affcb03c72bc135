"""One spoken clip: a word that does not fit, and the room around it."""

from __future__ import annotations

import numpy as np
import pytest

from audio_edge.datasets import rendering, speech
from audio_edge.datasets.rendering import Take
from audio_edge.datasets.speech import Speaker
from audio_edge.datasets.voices import Voice

for _module, _distribution in speech.ENGINES.values():
    pytest.importorskip(_module, reason=f"{_distribution} is not installed: audio_edge[synthetic]")


def test_a_long_word_is_sped_up_or_cut_to_the_clip():
    take = Take("internationalisation of everything", Voice("espeak", "en-US", "m1"), 0)
    with Speaker() as speaker:
        clip = rendering.render(take, speaker, sample_rate=16000, clip_samples=8000, seed=0)
    assert clip.shape == (8000,) and np.abs(clip).max() > 0.09


def test_a_room_keeps_the_direct_sound_in_place_and_takes_dc_away():
    click = np.zeros(8000)
    click[1000] = 1.0
    for seed in range(10):
        heard = rendering.in_room(click, 16000, np.random.default_rng(seed))
        assert abs(int(np.abs(heard).argmax()) - 1000) <= 1
        assert abs(heard.mean()) < 1e-5
        before, after = np.sum(heard[:950] ** 2), np.sum(heard[1050:] ** 2)
        direct = np.sum(heard[950:1050] ** 2)
        assert before < 0.01 * direct  # only the microphone's slope is not causal
        assert 1e-4 * direct < after < direct  # the room rings on, below the click
