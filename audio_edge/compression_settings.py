"""The ways to shrink a classifier, each a section and a stage of its own, all from the float stage.

They follow one upon the other: channels are removed, then weights are pruned, then clustered, then
quantised. A section whose share or number is 0 is left out, and so is its stage.
"""

from __future__ import annotations

from dataclasses import dataclass

from audio_edge.section import Section

RANKS = ("taylor", "scale", "l1")
PATTERNS = ("", "2:4")


@dataclass(frozen=True)
class ChannelsConfig(Section):
    """Whole channels removed, `remove` of each layer's, and the narrower network fine-tuned.

    Which ones go is told by `rank`: "taylor" (what the loss would change by), "scale" (of batch
    normalisation) or "l1" (of the filters). The channels left are a multiple of `multiple`, where a
    layer has so many. `only` names the layers that lose some, as they are called in the model or
    by patterns such as "layer5*"; none means all. `branches` of the residual blocks lose all but
    their shortcut, those that the loss would change least by. The fine-tuning learns from the float
    stage, too, as `[distill]` says. With `remove` and `branches` both 0 all this is off.
    """

    remove: float = 0.0
    only: tuple[str, ...] = ()
    branches: int = 0
    rank: str = "taylor"
    multiple: int = 1
    epochs: int = 12
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        self.require(0 <= self.remove < 1, "remove must be in [0, 1)")
        self.require(self.branches >= 0, "branches must be >= 0")
        self.require(self.rank in RANKS, f"rank must be one of {', '.join(RANKS)}")
        self.require(self.multiple >= 1, "multiple must be at least 1")
        learns = self.epochs >= 1 and self.learning_rate > 0
        self.require(learns, "epochs must be >= 1 and learning_rate > 0")


@dataclass(frozen=True)
class PruneConfig(Section):
    """Magnitude pruning of the convolution kernels to `sparsity`.

    The sparsity rises over the first `ramp` of the epochs, then stays; 0 prunes at once. With
    `pattern` "2:4" two of every four neighbours along a filter's inputs are zero. Sparsity 0 turns
    pruning off.
    """

    sparsity: float = 0.5
    pattern: str = ""
    ramp: float = 0.5
    epochs: int = 12
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        self.require(0 <= self.sparsity < 1, "sparsity must be in [0, 1)")
        self.require(self.pattern in PATTERNS, "pattern must be '' or '2:4'")
        half = self.pattern != "2:4" or self.sparsity in (0, 0.5)
        self.require(half, "pattern '2:4' leaves exactly half, so sparsity must be 0.5")
        self.require(0 <= self.ramp <= 1, "ramp must be in [0, 1]")
        learns = self.epochs >= 1 and self.learning_rate > 0
        self.require(learns, "epochs must be >= 1 and learning_rate > 0")


@dataclass(frozen=True)
class ClusterConfig(Section):
    """Weight clustering: each convolution kernel has at most `number` distinct weights.

    Zeros that pruning has made stay. 0 turns it off.
    """

    number: int = 0
    epochs: int = 6
    learning_rate: float = 5e-4

    def __post_init__(self) -> None:
        few = self.number == 0 or 2 <= self.number <= 128
        self.require(few, "number must be 0 or 2 to 128: int8 has no more to lose")
        learns = self.epochs >= 1 and self.learning_rate > 0
        self.require(learns, "epochs must be >= 1 and learning_rate > 0")


@dataclass(frozen=True)
class QuantizeConfig(Section):
    """Quantisation of the classifier to int8: fine-tuned for `epochs`, after the training for 0.

    After the training, the ranges of the activations are those of up to `representative` of the
    selection clips. Fine-tuning keeps zeros and clusters.
    """

    epochs: int = 8
    learning_rate: float = 5e-4
    representative: int = 256

    def __post_init__(self) -> None:
        learns = self.epochs >= 0 and self.learning_rate > 0
        self.require(learns, "epochs must be >= 0 and learning_rate > 0")
        self.require(self.representative >= 1, "representative must be at least 1 clip")
