"""Several GPUs and several machines: who takes part, who writes, and what all must agree on.

One process a machine. The chief alone touches the run directory; the others are sent what it has
read there, so the machines need no file system in common. Each has its own copy of the recordings.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from audio_edge.errors import UserError, first_line

KINDS = ("mirrored", "multiworker")
_EXAMPLE = (
    '{"cluster": {"worker": ["10.0.0.1:2222", "10.0.0.2:2222"]}, '
    '"task": {"type": "worker", "index": 0}}'
)


def start(kind: str) -> tf.distribute.Strategy:
    """The strategy to train under; to be called before TensorFlow does anything else.

    Args:
        kind: "mirrored", all GPUs of this machine, or "multiworker", the machines of TF_CONFIG;
            it waits until all of them are there.

    Raises:
        UserError: TF_CONFIG is missing or malformed, or the others cannot be reached.
    """
    if kind == "multiworker":
        check(os.environ.get("TF_CONFIG", ""))
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)
    if kind == "mirrored":
        return tf.distribute.MirroredStrategy()
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except (tf.errors.OpError, RuntimeError, ValueError) as error:
        raise UserError(
            f"TF_CONFIG: the machines did not come together ({first_line(error)}); "
            "start all of them, and check their addresses"
        ) from error


def check(text: str) -> None:
    """Raise a UserError that names the fault unless `text` is a TF_CONFIG of workers."""
    if not text:
        raise UserError(f"TF_CONFIG is not set; on each machine, set it as in '{_EXAMPLE}'")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"TF_CONFIG: not valid JSON ({error}); write it as {_EXAMPLE}") from error
    fault = _fault(value)
    if fault:
        raise UserError(f"TF_CONFIG: {fault}; write it as {_EXAMPLE}")


def _fault(value: Any) -> str:
    cluster = value.get("cluster") if isinstance(value, dict) else None
    if not isinstance(cluster, dict) or not cluster:
        return "'cluster' must hold the machines"
    for kind, addresses in cluster.items():
        if kind not in ("chief", "worker"):
            return f"'cluster' may hold 'worker' and 'chief', not '{kind}'"
        if not isinstance(addresses, list) or not addresses:
            return f"'cluster.{kind}' must be a list of addresses"
        for address in addresses:
            host, _, port = address.rpartition(":") if isinstance(address, str) else ("", "", "")
            if not host or not port.isdecimal() or not 0 < int(port) < 65536:
                return f"'cluster.{kind}' must hold host:port, not {address!r}"
    if len(cluster.get("chief", [])) > 1:
        return "'cluster.chief' must be one machine"
    task = value.get("task")
    kind = task.get("type") if isinstance(task, dict) else None
    if not isinstance(task, dict) or not isinstance(kind, str) or kind not in cluster:
        return "'task.type' must be one of those in 'cluster'"
    index = task.get("index")
    if type(index) is not int or not 0 <= index < len(cluster[kind]):
        return f"'task.index' must be 0 to {len(cluster[kind]) - 1}"
    return ""


def is_chief() -> bool:
    """Whether this process writes: the only one, the chief, or worker 0 where there is no chief."""
    resolver = tf.distribute.get_strategy().cluster_resolver
    if resolver is None or not resolver.cluster_spec().as_dict():
        return True
    first = "chief" if "chief" in resolver.cluster_spec().as_dict() else "worker"
    return bool(resolver.task_type == first and resolver.task_id == 0)


def told(decide: Callable[[], bool]) -> bool:
    """What the chief decides; the others do not ask themselves."""
    own = float(decide()) if is_chief() else 0.0
    return bool(_sums([tf.constant(own)])[0])


def send(variables: Sequence[tf.Variable]) -> None:
    """Give the variables of all workers the values that those of the chief have."""
    if _workers() > 1:
        own = [tf.convert_to_tensor(variable) for variable in variables]
        own = own if is_chief() else [tf.zeros_like(value) for value in own]
        for variable, value in zip(variables, _sums(own), strict=True):
            variable.assign(value)


def agree(what: str, value: int) -> None:
    """Raise a UserError on all workers unless each of them gives the same value, below 2^28."""
    powers = [tf.constant(power, tf.int64) for power in (value, value * value)]
    total, squares = (int(power) for power in _sums(powers))
    if _workers() * squares != total * total:  # they spread
        raise UserError(f"the workers have different {what}; give all of them the same")


def dataset(
    make: Callable[[Sequence[int], int], tf.data.Dataset],
) -> tf.data.Dataset | tf.distribute.DistributedDataset:
    """What this process feeds to its replicas.

    Args:
        make: (replicas of this process, replicas in all) -> for each step one batch for each of
            these replicas, in their order.
    """
    strategy = tf.distribute.get_strategy()
    if not tf.distribute.has_strategy():
        return make((0,), 1)
    strategy.extended.experimental_enable_get_next_as_optional = False  # it ends by our steps

    def local(context: tf.distribute.InputContext) -> tf.data.Dataset:
        number = context.num_replicas_in_sync
        each = number // context.num_input_pipelines
        first = context.input_pipeline_id * each
        return make(range(first, first + each), number)

    return strategy.distribute_datasets_from_function(local)


def _workers() -> int:
    resolver = tf.distribute.get_strategy().cluster_resolver
    machines = resolver.cluster_spec().as_dict() if resolver else {}
    return max(1, sum(len(addresses) for addresses in machines.values()))


def _sums(values: Sequence[tf.Tensor]) -> list[np.ndarray]:
    """The sum of each value over the workers."""
    if _workers() == 1:
        return [value.numpy() for value in values]
    strategy = tf.distribute.get_strategy()

    @tf.function
    def reduced() -> Any:
        def of_replica() -> list[tf.Tensor]:
            replica = tf.distribute.get_replica_context()
            local = replica.num_replicas_in_sync // _workers()
            first = replica.replica_id_in_sync_group % local == 0
            parts = [tf.where(first, value, tf.zeros_like(value)) for value in values]
            return [replica.all_reduce(tf.distribute.ReduceOp.SUM, part) for part in parts]

        return strategy.run(of_replica)

    return [strategy.experimental_local_results(value)[0].numpy() for value in reduced()]
