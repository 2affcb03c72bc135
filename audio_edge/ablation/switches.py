"""The augmentations there are to switch, and the configs in which one is switched."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audio_edge.config import SILENCE, AugmentConfig, Config
from audio_edge.datasets.index import Index
from audio_edge.errors import UserError

# Of each augmentation the keys of [augment] when it is off, and the strength it is switched on with
SWITCHES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "shift": ({"shift_s": 0.0}, {"shift_s": 0.1}),
    "speed": ({"speed": 0.0}, {"speed": 0.1}),
    "gain": ({"gain_db": (0.0, 0.0)}, {"gain_db": (-12.0, 6.0)}),
    "noise": ({"noise_share": 0.0}, {"noise_share": 0.7}),
    "made_noise": ({"made_noise": False}, {"made_noise": True}),
    "digital_silence": ({"zero_share": 0.0}, {"zero_share": 0.1}),
    "reverb": ({"reverb_share": 0.0}, {"reverb_share": 0.3}),
    "eq": ({"eq_share": 0.0}, {"eq_share": 0.3}),
    "mix": ({"mix_share": 0.0}, {"mix_share": 0.3}),
    "mixup": ({"mixup_share": 0.0}, {"mixup_share": 0.3}),
    "spec_augment": ({"time_masks": 0, "freq_masks": 0}, {"time_masks": 1, "freq_masks": 1}),
}
BASE, NONE = "base", "none"  # the config as it is; every augmentation off


@dataclass(frozen=True)
class Variant:
    """A config that differs from the one under test in its [augment] alone.

    Attributes:
        name: An augmentation, BASE or NONE.
        state: What it is now, in words: "off", or "on" and the strength.
        augment: The whole section.
    """

    name: str
    state: str
    augment: AugmentConfig

    def config(self, base: Config, folder: Path, seed: int) -> Config:
        """The config of its run with a seed, in `folder`/name/seedN.

        Without lessons: each variant would keep gigabytes that no other one hears.
        """
        name = f"{base.run.name}_{self.name}_seed{seed}"
        where = folder / self.name / f"seed{seed}"
        run = dataclasses.replace(base.run, name=name, dir=str(where), seed=seed)
        train = dataclasses.replace(base.train, lessons=0)
        return dataclasses.replace(base, run=run, augment=self.augment, train=train)


def variants(config: Config, names: str | None = None) -> tuple[Variant, ...]:
    """The config as it is, then with one augmentation after another switched the other way.

    Args:
        config: Under test.
        names: Which of SWITCHES and NONE, as "shift,none"; None takes all of them.

    Raises:
        UserError: A name is unknown or comes twice.
    """
    known = [*SWITCHES, NONE]
    chosen = known if names is None else [name.strip() for name in names.split(",")]
    if not set(chosen) <= set(known) or len(set(chosen)) < len(chosen):
        raise UserError(
            f"--only takes different names of {', '.join(known)} with commas between them. "
            f"Received: {names!r}"
        )
    found = [_variant(config.augment, name) for name in chosen]
    others = [variant for variant in found if variant.augment != config.augment]
    return (Variant(BASE, "as configured", config.augment), *others)


def without_effect(config: Config, index: Index) -> dict[str, str]:
    """The augmentations that change nothing for this config and its recordings, and why."""
    found = {}
    silent = SILENCE in index.labels
    if not silent:
        found["digital_silence"] = "silence is no class"
    if config.augment.mix_share == 1:
        found["mixup"] = "every clip is mixed in the other way"
    if not index.noise:
        found["made_noise"] = "no noise was recorded, so that made-up noise serves anyway"
    elif not (silent or config.augment.noise_share):
        found["made_noise"] = "no clip gets noise"
    return found


def _variant(augment: AugmentConfig, name: str) -> Variant:
    if name == NONE:
        values = {key: value for off, _ in SWITCHES.values() for key, value in off.items()}
        return Variant(name, "all off", dataclasses.replace(augment, **values))
    off, on = SWITCHES[name]
    if any(getattr(augment, key) != value for key, value in off.items()):
        return Variant(name, "off", dataclasses.replace(augment, **off))
    strength = ", ".join(f"{key} {_plain(value)}" for key, value in on.items())
    return Variant(name, f"on: {strength}", dataclasses.replace(augment, **on))


def _plain(value: Any) -> str:
    if isinstance(value, tuple):
        return " to ".join(f"{item:g}" for item in value)
    return str(value).lower()
