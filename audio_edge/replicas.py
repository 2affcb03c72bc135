"""Where the clips of a replica stand in the batch that all replicas share.

Of n replicas, number r has each n-th clip of a batch, from clip r on. What is drawn for a clip then
depends on its place in the batch and not on how many replicas there are. Outside `tf.distribute`
there is one replica, and it has the whole batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf


@dataclass(frozen=True)
class Rows:
    """Which rows of all that is drawn belong to the clips that are here.

    count: how many are drawn; here: int [n], or None for all of them.
    """

    count: tf.Tensor
    here: tf.Tensor | None = None

    def draw(
        self, sample: Callable[..., tf.Tensor], shape: Sequence[int], seed: tf.Tensor, *args: Any
    ) -> tf.Tensor:
        """[n, *shape] from a sampler of `tf.random` such as stateless_uniform."""
        drawn = sample([self.count, *shape], seed, *args)
        return drawn if self.here is None else tf.gather(drawn, self.here)


def rows(count: tf.Tensor) -> Rows:
    """The rows of the `count` clips of this replica.

    Drawn is as far as the last of them: samplers give the same first rows, however many follow.
    """
    number, own = _replica()
    if number == 1:
        return Rows(count)
    return Rows(count * number, own + number * tf.range(count))


def total(count: tf.Tensor) -> tf.Tensor:
    """Clips in the batch, of which this replica has `count`."""
    if _replica()[0] == 1:
        return count
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, count)


def ours(batch_rows: tf.Tensor) -> tuple[Rows, tf.Tensor]:
    """What is drawn in the order of these rows of the batch, and which of our clips they are."""
    number, own = _replica()
    if number == 1:
        return Rows(tf.size(batch_rows)), batch_rows
    places = tf.where(batch_rows % number == own)[:, 0]
    return Rows(tf.size(batch_rows), places), tf.gather(batch_rows, places) // number


def gathered(x: tf.Tensor) -> tf.Tensor:
    """The rows of all replicas in the order of the batch."""
    number, _ = _replica()
    if number == 1:
        return x
    found = tf.distribute.get_replica_context().all_gather(x, axis=0)  # replica after replica
    size = tf.shape(found)[0]
    row = tf.range(size)
    before = row % number * (size // number) + tf.minimum(row % number, size % number)
    return tf.gather(found, before + row // number)


def _replica() -> tuple[int, Any]:
    """How many replicas there are, and which of them this is."""
    context = tf.distribute.get_replica_context()
    if context is None:
        return 1, 0
    return context.num_replicas_in_sync, context.replica_id_in_sync_group
