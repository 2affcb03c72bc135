"""Which ways to shrink are compared, each as a change of the config."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from audio_edge.config import ChannelsConfig, ClusterConfig, Config, PruneConfig, QuantizeConfig
from audio_edge.errors import UserError

SPARSITY, CLUSTERS, REMOVED = 0.8, 16, (0.4, 0.5)  # where the config leaves a way out
_EPOCHS = QuantizeConfig().epochs


@dataclass(frozen=True)
class Row:
    """One way to shrink.

    Attributes:
        name: Also that of its folder.
        told: What it is, in a few words.
        kind: How the file stores the weights, of `export.KINDS`.
        config: Of its run.
    """

    name: str
    told: str
    kind: str
    config: Config


def rows(config: Config) -> list[Row]:
    """All ways, the float original first; each with the epochs and rates that the config gives.

    Sparsity, number of clusters and shares of the channels are the config's, or else those above.
    """
    plain = dataclasses.replace(config.quantize, epochs=0)
    qat = dataclasses.replace(config.quantize, epochs=config.quantize.epochs or _EPOCHS)
    sparsity = config.prune.sparsity or SPARSITY
    pruned = dataclasses.replace(config.prune, sparsity=sparsity, pattern="")
    fours = dataclasses.replace(config.prune, sparsity=0.5, pattern="2:4")
    few = dataclasses.replace(config.cluster, number=config.cluster.number or CLUSTERS)
    removed = (config.channels.remove,) if config.channels.remove else REMOVED

    def row(
        name: str, told: str, kind: str = "int8", *, quantize: QuantizeConfig = qat,
        prune: PruneConfig | None = None, cluster: ClusterConfig | None = None,
        channels: ChannelsConfig | None = None,
    ) -> Row:  # fmt: skip
        where = Path(config.run.dir) / "compression" / name
        made = dataclasses.replace(
            config,
            run=dataclasses.replace(config.run, dir=str(where), name=f"{config.run.name}_{name}"),
            channels=channels or ChannelsConfig(),
            prune=prune or PruneConfig(sparsity=0.0),
            cluster=cluster or ClusterConfig(),
            quantize=quantize,
        )
        return Row(name, told, kind, made)

    found = [
        row("float32", "as trained", "float", quantize=plain),
        row("float16", "weights in float16", "float16", quantize=plain),
        row("dynamic", "weights in int8, dynamic range", "dynamic", quantize=plain),
        row("int8_post", "int8 after the training", quantize=plain),
        row("int8_qat", "int8 QAT"),
        row("pruned", f"{100 * sparsity:g} % zeros, int8 QAT", prune=pruned),
        row("two_of_four", "2:4 zeros, int8 QAT", prune=fours),
        row("clustered", f"{few.number} weights a kernel, int8 QAT", cluster=few),
        row(
            "pruned_clustered", f"{100 * sparsity:g} % zeros, {few.number} weights, int8 QAT",
            prune=pruned, cluster=few,
        ),
    ]  # fmt: skip
    for share in removed:
        narrow = dataclasses.replace(config.channels, remove=share)
        left = round(100 * (1 - share))
        told = f"{left} % of the channels, int8 QAT"
        found.append(row(f"narrow_{left}", told, channels=narrow))
    return found


def chosen(config: Config, names: list[str]) -> list[Row]:
    """The rows of those names, all for none; the float original is always among them.

    Raises:
        UserError: There is no such row.
    """
    every = rows(config)
    known = [row.name for row in every]
    for name in names:
        if name not in known:
            raise UserError(f"--rows: no row is called '{name}'; known: {', '.join(known)}")
    return [row for row in every if not names or row.name in (known[0], *names)]
