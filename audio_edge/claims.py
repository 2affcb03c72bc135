"""What a shrunken file claims, read off the file itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import tf_keras as keras

from audio_edge import compress
from audio_edge.config import Config
from audio_edge.errors import UserError
from audio_edge.summary import CLASSIFIER

_ROUNDED = 0.01  # of a share of zeros
_HEAD = "FULLY_CONNECTED"  # adds up the outputs of unknown words, in float
_SMALL = 1024  # elements of a kernel below which dynamic range leaves it in float
TYPES = {"float": "FLOAT32", "float16": "FLOAT16", "dynamic": "INT8", "int8": "INT8"}


@dataclass(frozen=True)
class Kernel:
    """What a kernel of the classifier must be like in the file.

    Attributes:
        name: Of its layer.
        shape: As TFLite has it, less the ones: filters, height, width, inputs.
        sparsity: Least share of zeros.
        of_four: Most values that are not zero among four neighbours.
        distinct: Most different values.
    """

    name: str
    shape: tuple[int, ...]
    sparsity: float = 0.0
    of_four: int = 4
    distinct: int | None = None


def of(classifier: keras.Model, config: Config, stage: str, stages: Sequence[str]) -> list[Kernel]:
    """The claims of a stage, from its own structure and the settings of the stages up to it.

    Args:
        classifier: Of the stage, as it was trained.
        config: Of its run.
        stage: The stage.
        stages: Those of its run, in order.
    """
    done = stages[: stages.index(stage) + 1] if stage in stages else ()
    clustered = "clustered" in done
    found = []
    for layer in classifier.layers:
        inner = getattr(layer, "layer", layer)
        if isinstance(inner, keras.layers.DepthwiseConv2D):
            height, width, inputs, _ = inner.depthwise_kernel.shape
            found.append(Kernel(inner.name, plain((height, width, inputs))))
        elif type(inner) is keras.layers.Conv2D:
            height, width, inputs, filters = inner.kernel.shape
            pruned = "pruned" in done and compress.is_pruned(inner, config)
            several = clustered and compress.is_prunable(inner)
            found.append(
                Kernel(
                    inner.name, plain((filters, height, width, inputs)),
                    sparsity=config.prune.sparsity if pruned else 0.0,
                    of_four=2 if pruned and config.prune.pattern else 4,
                    distinct=config.cluster.number if several else None,
                )
            )  # fmt: skip
    return found


def check(summary: dict[str, Any], wanted: Sequence[Kernel], kind: str) -> dict[str, Any]:
    """Hold a file against its claims.

    Args:
        summary: Of `summary.model_summary`.
        wanted: Of `of`: all kernels of the classifier.
        kind: "float", "float16", "dynamic" or "int8".

    Returns:
        What was found: kernels, sparsity (least of a pruned kernel), distinct (most of a clustered
        one), of_four (most of a pruned one), channels (filters of all full convolutions), dtypes.

    Raises:
        UserError: A claim does not hold; the message names kernel and claim.
    """
    rows = [row for row in summary["kernels"] if row["part"] == CLASSIFIER]
    known = {claim.shape for claim in wanted}
    kernels = [row for row in rows if plain(row["shape"]) in known]
    if len([row for row in rows if row["op"] != _HEAD]) > len(wanted):
        raise UserError(f"holds {len(rows)} kernels, but the network has {len(wanted)}")
    by_shape: dict[tuple[int, ...], list[dict[str, Any]]] = {}
    for row in kernels:
        by_shape.setdefault(plain(row["shape"]), []).append(row)
    shapes = {claim.shape: [c for c in wanted if c.shape == claim.shape] for claim in wanted}
    for shape, claims in shapes.items():
        rows = by_shape.get(shape, [])
        name = claims[0].name
        if len(rows) < len(claims):
            raise UserError(
                f"kernel '{name}' of shape {shape} is not in the file: its channels were lost"
            )
        for claim, row in zip(_by(claims, "sparsity"), _by(rows, "sparsity"), strict=False):
            least = claim.sparsity - _ROUNDED
            if row["sparsity"] < least:
                raise UserError(
                    f"kernel '{claim.name}' lost its sparsity of {claim.sparsity:.2f}: "
                    f"{row['sparsity']:.2f} in the file"
                )
        fours = [claim for claim in claims if claim.of_four < 4]
        if not _hold(rows, fours, lambda row: row["of_four"] is not None and row["of_four"] <= 2):
            raise UserError(f"kernel '{fours[0].name}' lost its 2:4 zeros")
        few = [claim for claim in claims if claim.distinct]
        most = few[0].distinct or 0 if few else 0
        if not _hold(rows, few, lambda row, most=most: (row["distinct"] or most + 1) <= most):
            counts = sorted(row["distinct"] for row in rows)
            raise UserError(
                f"kernel '{few[0].name}' has {counts[0]} distinct weights, wanted {most}"
            )
    _check_types(kernels, kind)
    full = [row for row in kernels if row["op"] == "CONV_2D"]
    pruned = [claim.shape for claim in wanted if claim.sparsity]
    few_of = [claim.shape for claim in wanted if claim.distinct]
    return {
        "kernels": len(kernels),
        "dtypes": sorted({row["dtype"] for row in kernels}),
        "channels": sum(row["shape"][0] for row in full),
        "sparsity": min((r["sparsity"] for r in kernels if plain(r["shape"]) in pruned), default=0),
        "of_four": max((r["of_four"] for r in kernels if plain(r["shape"]) in pruned), default=4),
        "distinct": max((r["distinct"] for r in kernels if plain(r["shape"]) in few_of), default=0),
    }


def _check_types(kernels: Iterable[dict[str, Any]], kind: str) -> None:
    for row in kernels:
        small = kind == "dynamic" and row["elements"] < _SMALL
        if row["dtype"] != TYPES[kind] and not (small and row["dtype"] == "FLOAT32"):
            raise UserError(f"kernel '{row['name']}' is {row['dtype']}, wanted {TYPES[kind]}")


def _hold(
    rows: Sequence[dict[str, Any]], claims: Sequence[Kernel], holds: Callable[..., bool]
) -> bool:
    """Whether as many kernels of a shape are as claimed as claims are made."""
    return sum(map(holds, rows)) >= len(claims)


def _by(items: Iterable[Any], key: str) -> list[Any]:
    return sorted(items, key=lambda item: -(item[key] if isinstance(item, dict) else item.sparsity))


def plain(shape: Sequence[int]) -> tuple[int, ...]:
    """A shape less its ones, which a converter may move."""
    return tuple(size for size in shape if size > 1)
