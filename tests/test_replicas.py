"""What is drawn for a clip does not depend on how the batch is split over replicas."""

import numpy as np
import pytest
import tensorflow as tf

from audio_edge import augment, replicas
from audio_edge.config import AugmentConfig
from audio_edge.models.dropout import StatelessDropout

RATE, CLIP, LABELS = 16000, 800, 5
CONFIG = AugmentConfig(
    reverb_share=0.5, reverb_s=(0.02, 0.04), eq_share=0.5, mix_share=0.5, mixup_share=0.5,
    time_masks=2,
)  # fmt: skip
SEED = tf.constant([7, 3], tf.int64)


@pytest.fixture
def split(monkeypatch):
    """Make the functions believe that they run on one of several replicas of a batch."""

    def pretend(number, own, count, whole):
        monkeypatch.setattr(replicas, "_replica", lambda: (number, own))
        monkeypatch.setattr(replicas, "total", lambda _: tf.constant(count))
        monkeypatch.setattr(replicas, "gathered", lambda x: whole[x.shape[1]])

    return pretend


@pytest.mark.parametrize(("count", "number"), [(12, 2), (13, 2), (13, 4)])
def test_each_replica_makes_its_part_of_what_one_makes(split, rng, count, number):
    clips = tf.constant(rng.uniform(-0.2, 0.2, (count, CLIP)), tf.float32)
    targets = tf.one_hot(rng.integers(0, LABELS, count), LABELS)
    silent = tf.constant(rng.uniform(size=count) < 0.2)
    logmel = tf.constant(rng.normal(size=(count, 40, 20, 1)), tf.float32)
    bank = augment.NoiseBank([rng.uniform(-1, 1, 3 * CLIP)], CLIP)
    dropout = StatelessDropout(0.5, seed=3)

    def made(rows):
        waveforms = augment.waveforms(
            clips[rows], silent[rows], bank, CONFIG, sample_rate=RATE, seed=SEED
        )
        return [
            waveforms,
            *augment.mix(waveforms, targets[rows], CONFIG, seed=SEED),
            augment.spec_augment(logmel[rows], CONFIG, seed=SEED),
            dropout(logmel[rows], training=True),
        ]

    alone = made(slice(None))
    whole = {CLIP: alone[0], LABELS: targets}
    for own in range(number):
        split(number, own, count, whole)
        for ours, all_of_them in zip(made(slice(own, None, number)), alone, strict=True):
            # float32: transforms of another number of rows may add in another order
            np.testing.assert_allclose(ours, all_of_them[own::number], atol=1e-6)


@pytest.mark.parametrize(("count", "number"), [(6, 2), (7, 2), (7, 3), (3, 3)])
def test_rows_of_all_replicas_come_back_in_the_order_of_the_batch(monkeypatch, count, number):
    batch = tf.range(count)[:, None]
    parts = tf.concat([batch[own::number] for own in range(number)], axis=0)

    class Context:
        num_replicas_in_sync, replica_id_in_sync_group = number, 0

        def all_gather(self, x, axis):
            return parts

    monkeypatch.setattr(tf.distribute, "get_replica_context", Context)
    np.testing.assert_array_equal(replicas.gathered(batch[::number]), batch)
