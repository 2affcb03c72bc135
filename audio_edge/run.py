"""A run directory: the only interface between stages.

Each finished stage leaves a `stage.json` that says what it was made from.
"""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audio_edge import config as config_module
from audio_edge import files
from audio_edge.config import FOLDS, Config
from audio_edge.errors import UserError

TRAINED = ("float", "narrow", "pruned", "clustered", "qat")


@dataclass(frozen=True)
class Run:
    """The directory of one run and its resolved config."""

    dir: Path
    config: Config

    @classmethod
    def create(cls, config: Config, *, force: bool = False) -> Run:
        """The run in the directory that `config.run.dir` names; nothing is written yet.

        Raises:
            UserError: It holds a run of another config, and `force` is not given.
        """
        run = cls(Path(config.run.dir), config)
        where = run.dir / "config.json"
        begun = any(run.stage(name).exists() for name in TRAINED)
        if where.exists() and begun and not force:
            changed = _differences(files.read_json(where, dict), config.to_dict())
            if changed:
                raise UserError(
                    f"{run.dir}: made with another config ({'; '.join(changed[:3])}); "
                    "give --force to make what changed anew, or another run.dir"
                )
        return run

    def save(self) -> None:
        """Write config.json: once what it asks for is known to be possible."""
        files.write_json(self.dir / "config.json", self.config.to_dict())

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Run:
        """Open an existing run directory."""
        where = Path(path) / "config.json"
        if not where.exists():
            raise UserError(
                f"{path}: not a run directory (no config.json); "
                "make one with python -m training.run CONFIG"
            )
        values = files.read_json(where, dict)
        try:
            return cls(Path(path), config_module.from_dict(values))
        except UserError as error:
            raise UserError(f"{where}: {error}") from error

    def stage(self, name: str) -> Path:
        """Folder of a trained stage, one of TRAINED."""
        return self.dir / name

    @property
    def stages(self) -> tuple[str, ...]:
        """The trained stages that the config asks for, each made from the one before it."""
        c = self.config
        asked = {
            "narrow": c.channels.remove or c.channels.branches, "pruned": c.prune.sparsity,
            "clustered": c.cluster.number, "qat": c.quantize.epochs,
        }  # fmt: skip
        return tuple(name for name in TRAINED if asked.get(name, True))

    def before(self, name: str) -> str:
        """The stage that a stage, asked for or not, is made from: the last asked for before it."""
        earlier = TRAINED[: TRAINED.index(name)]
        return next(stage for stage in reversed(self.stages) if stage in earlier)

    def model(self, kind: str, *, streaming: bool = False, streams: int = 1) -> Path:
        """The converted file, for clips or for a stream.

        Args:
            kind: "float", "int8", "float16" or "dynamic".
            streaming: For a stream.
            streams: How many it takes at once.
        """
        form = "_streaming" * streaming + (f"_{streams}" if streams > 1 else "")
        return self.dir / "tflite" / f"model_{kind}{form}.tflite"

    @property
    def results(self) -> Path:
        """Folder of figures."""
        return self.dir / "results"

    def record(self, name: str) -> dict[str, Any] | None:
        """What a finished stage left in its stage.json; None if it is not finished."""
        where = self.stage(name) / "stage.json"
        if not where.exists():
            return None
        record = files.read_json(where, dict)
        kinds = {"fingerprint": str, "labels": list, "output_labels": list, "params": int}
        whole = all(isinstance(record.get(key), kind) for key, kind in kinds.items())
        if not whole or not all(isinstance(label, str) for label in record["labels"]):
            raise UserError(
                f"{where}: damaged, {', '.join(kinds)} must be there; delete it and run again"
            )
        return record

    def require(self, name: str) -> dict[str, Any]:
        """As `record`, but a missing stage is an error that says how to make it."""
        record = self.record(name)
        if record is None:
            raise UserError(
                f"{self.stage(name)}: stage '{name}' is not finished; "
                "run python -m training.run first"
            )
        return record

    def up_to_date(self, name: str, data: str) -> bool:
        """Whether a stage is finished and made from these settings and data.

        Raises:
            UserError: It is finished, but made from others; only `--force` makes it anew.
        """
        record = self.record(name)
        if record and record["fingerprint"] != self.fingerprint(name, data):
            raise UserError(
                f"{self.stage(name)}: made from other recordings, settings or an earlier stage "
                "that has changed; give --force to make it anew, or another run.dir"
            )
        return record is not None

    def teachers(self) -> tuple[Run, ...]:
        """The runs that `[distill]` names, finished or not, all of the same clips.

        Raises:
            UserError: One of them learns from other clips, or has teachers itself.
        """
        return tuple(run for name in self.config.distill.teachers for run in self._taught_by(name))

    def _taught_by(self, name: str) -> list[Run]:
        own = self.config
        if not name.endswith(".toml"):
            found = [Run.open(name)]
        else:
            base = config_module.load_config(name, own.distill.teacher_set)
            fold = f"fold{own.data.fold}/" if own.data.kind in FOLDS else ""
            found = []
            for seed in own.distill.teacher_seeds:
                where = Path(base.run.dir) / f"{fold}seed{seed}"
                place = dataclasses.replace(base.run, dir=str(where), seed=seed)
                found.append(Run(where, dataclasses.replace(base, run=place, data=own.data)))
        for run in found:
            if run.config.distill.teachers:
                raise UserError(f"[distill] {name} has teachers itself; give one that has none")
            if learnt_data(run.config) != learnt_data(own):
                raise UserError(
                    f"[distill] {name} learns from other clips: its [data] differs; "
                    "give a run of the same [data], or a config, which takes it over"
                )
        return found

    def fingerprint(self, name: str, data: str) -> str:
        """What a stage depends on: its sections of the config, the data, and the stage before it.

        Args:
            name: Stage.
            data: Fingerprint of the index.
        """
        c = self.config
        if name == "float":
            sections: list[Any] = [_without_places(c), dataclasses.asdict(c.train), data]
            if c.distill.teachers:
                learnt_from = [teacher.fingerprint("float", data) for teacher in self.teachers()]
                sections.append([c.distill.share, c.distill.temperature, learnt_from])
            return files.fingerprint(["float", c.run.seed, *sections])
        section: Any = {
            "narrow": c.channels, "pruned": c.prune, "clustered": c.cluster, "qat": c.quantize,
        }[name]  # fmt: skip
        before = self.fingerprint(self.before(name), data)
        return files.fingerprint([name, before, dataclasses.asdict(section)])


def locate(path: str | os.PathLike[str]) -> tuple[Run, str] | None:
    """The run and stage that a path belongs to.

    Args:
        path: DIR, which is the last stage finished, a stage such as DIR/float, or a converted file
            such as DIR/tflite/model_int8.tflite.

    Returns:
        (run, stage), or None for a path outside any run.
    """
    target = Path(path)
    if (target / "config.json").exists():
        run = Run.open(target)
        done = [name for name in run.stages if run.record(name)]
        return (run, done[-1]) if done else (run, "float")
    if target.name in TRAINED and (target.parent / "config.json").exists():
        return Run.open(target.parent), target.name
    parent = target.parent.parent
    if target.parent.name == "tflite" and (parent / "config.json").exists():
        stored = (kind for kind in ("int8", "float16", "dynamic") if kind in target.stem)
        return Run.open(parent), next(stored, "float")
    return None


def lineage(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What the run that a converted file belongs to knows of it, for a registry.

    Returns:
        config, metrics (of `training.run`, None before that) and trained, the fingerprint of each
        stage; nothing for a file outside any run.
    """
    found = locate(path)
    if found is None:
        return {}
    run, stage = found
    where = run.results / "accuracy.json"
    return {
        "config": run.config.to_dict(),
        "metrics": files.read_json(where, dict).get(stage) if where.exists() else None,
        "trained": {name: run.require(name)["fingerprint"] for name in run.stages},
    }


def _without_places(config: Config) -> dict[str, Any]:
    """The sections that training depends on, less where files lie and how decoding is done."""
    sections: dict[str, Any] = {"data": learnt_data(config)}
    for name in ("frontend", "augment", "model"):
        sections[name] = dataclasses.asdict(getattr(config, name))
    sections["model"]["weights"] = Path(config.model.weights).name
    del sections["model"]["weights_licence"]
    if config.encoder.path:
        sections["encoder"] = [Path(config.encoder.path).name, config.encoder.pad_s]
    return sections


def learnt_data(config: Config) -> dict[str, Any]:
    """The `[data]` that training depends on, less where files lie and how decoding is done."""
    data = dataclasses.asdict(config.data)
    for key in ("root", "cache", "noise", "extra", "decode_timeout_s", "licence"):
        del data[key]
    return data


def _differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Keys that differ, as "section.key old -> new"; places and what is only shown do not count."""
    ignored = {
        "run": ("name", "dir", "tensorboard", "dft"),
        "data": ("root", "cache", "noise", "extra", "decode_timeout_s", "licence"),
        "model": ("weights", "weights_licence"),
        "encoder": ("path", "licence"),
        "distill": ("teacher_set",),
    }
    before = Config().to_dict()  # what a key was before there was such a key
    for name, keys in old.items():
        before.setdefault(name, {}).update(keys if isinstance(keys, dict) else {})
    return [
        f"{section}.{key} {before[section][key]!r} -> {value!r}"
        for section, values in new.items()
        if section != "detector"
        for key, value in values.items()
        if key not in ignored.get(section, ()) and before[section][key] != value
    ]
