"""The search: candidates tried one after another, each once, within a limit and a budget.

DIR/search.json says what is searched for. Each trial leaves DIR/trials/NAME/trial.json; one that
has it is never repeated. A search that goes on is told all the kept scores in their order, and so
comes to propose the very trial that was interrupted, whose run goes on from its last checkpoint.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from audio_edge import files
from audio_edge.config import Config
from audio_edge.errors import UserError
from audio_edge.learner import Material
from audio_edge.run import Run
from audio_edge.tuning import trial
from audio_edge.tuning.limit import Limit, Meter
from audio_edge.tuning.proposals import ALGORITHMS, Enough, propose
from audio_edge.tuning.space import Parameter, apply

DONE, REFUSED, FAILED = "done", "refused", "failed"
BASE = "base"  # the trial of the config itself
_EPOCHS = ("train.epochs", "prune.epochs", "quantize.epochs")


@dataclass(frozen=True)
class Plan:
    """What is searched for, and where.

    Attributes:
        config: Where the search begins; it is tried first. Its seed is that of the search.
        space: What varies.
        algorithm: "hyperband" or "bayesian".
        limit: The most that a candidate may cost.
        dir: Folder of the search.
    """

    config: Config
    space: tuple[Parameter, ...]
    algorithm: str
    limit: Limit
    dir: Path

    def __post_init__(self) -> None:
        if self.algorithm not in ALGORITHMS:
            known = ", ".join(ALGORITHMS)
            raise UserError(f"--algorithm must be one of {known}. Received: {self.algorithm!r}")
        dealt = [item.key for item in self.space if item.key in _EPOCHS]
        if dealt and self.algorithm == "hyperband":
            raise UserError(
                f"{dealt[0]}: hyperband deals out the epochs itself; "
                "leave the key out, or take --algorithm bayesian"
            )

    def folder(self, name: str) -> Path:
        """The run directory of a trial."""
        return self.dir / "trials" / name

    def candidate(self, name: str, values: dict[str, Any], share: float) -> Config:
        """The config of a trial: the run's own, with these values and that share of the epochs.

        Without lessons: each trial would keep gigabytes that no other one hears.
        """
        run = {"run.name": f"{self.config.run.name}_{name}", "run.dir": str(self.folder(name))}
        return trial.shortened(apply(self.config, {**values, **run, "train.lessons": 0}), share)

    def begin(self, data: str, *, force: bool = False) -> None:
        """Write search.json, or hold what is there against it.

        Args:
            data: Fingerprint of the recordings.
            force: Drop the trials of another search.

        Raises:
            UserError: The folder holds another search, and `force` is not given.
        """
        config = self.config.to_dict()
        for section, key in (("run", "dir"), ("data", "root"), ("data", "cache")):
            del config[section][key]
        asked = {
            "config": config,
            "space": [dataclasses.asdict(item) for item in self.space],
            "algorithm": self.algorithm,
            "limit": dataclasses.asdict(self.limit),
            "recordings": data,
        }
        where = self.dir / "search.json"
        found = files.read_json(where, dict) if where.exists() else asked
        same = files.fingerprint(asked)  # tuples are lists in JSON
        if files.fingerprint(found) != same:
            changed = [
                key
                for key, value in asked.items()
                if files.fingerprint(found.get(key)) != files.fingerprint(value)
            ]
            if not force:
                raise UserError(
                    f"{self.dir}: holds a search with another {' and '.join(changed)}; "
                    "give another --out, or --force to drop its trials"
                )
            shutil.rmtree(self.dir / "trials", ignore_errors=True)
            (self.dir / "reference.json").unlink(missing_ok=True)
        files.write_json(where, asked)


@dataclass(frozen=True)
class Budget:
    """When no further trial is begun.

    Attributes:
        clock: Seconds from any moment on.
        seconds: For all trials together, those of earlier sessions included; None for no end.
        trials: Candidates, beside the config itself; None for no end.
    """

    clock: Callable[[], float]
    seconds: float | None = None
    trials: int | None = None

    def __post_init__(self) -> None:
        if self.seconds is not None and not self.seconds > 0:
            raise UserError(f"--minutes must be > 0. Received: {self.seconds / 60:g}")
        if self.trials is not None and self.trials < 1:
            raise UserError(f"--trials must be at least 1. Received: {self.trials}")


def search(
    plan: Plan, material: Material, budget: Budget, *,
    callbacks: trial.Callbacks = lambda stage: (),
    told: Callable[[dict[str, Any]], Any] = lambda row: None,
) -> list[dict[str, Any]]:  # fmt: skip
    """Try the config and then what the algorithm proposes, until the budget is spent.

    Args:
        plan: Begun: see `Plan.begin`.
        material: Training and selection clips.
        budget: Time or trials.
        callbacks: Further Keras callbacks of a stage.
        told: Called with the row of each trial, also of those that were kept.

    Returns:
        Rows in the order of the trials: name, values, share (of the epochs), status ("done",
        "refused" or "failed"), seconds, resumed, and either reason or the figures of
        `trial.judge`; with its cost where that was measured.
    """
    meter = Meter(plan.limit, material, plan.dir)
    rows: list[dict[str, Any]] = []
    began, replayed = budget.clock(), 0.0

    def attempt(values: dict[str, Any], share: float) -> float:
        nonlocal replayed
        name = f"{len(rows):03d}" if rows else BASE
        where = plan.folder(name) / "trial.json"
        asked: dict[str, Any] = {"name": name, "values": values, "share": share}
        if budget.trials is not None and len(rows) > budget.trials:
            raise Enough
        if where.exists():
            row = _kept(where, asked)
            replayed += row["seconds"]
        else:
            spent = budget.clock() - began + replayed
            if budget.seconds is not None and spent + expected_s(rows, share) > budget.seconds:
                raise Enough
            start = budget.clock()
            row = {**asked, **_tried(plan, meter, material, callbacks, **asked)}
            row["seconds"] = round(budget.clock() - start, 2)
            files.write_json(where, row)
        rows.append(row)
        told(row)
        return float(row["accuracy"]) if row["status"] == DONE else 0.0

    try:
        attempt({}, 1.0)
        propose(plan.space, plan.algorithm, seed=plan.config.run.seed, attempt=attempt)
    except Enough:
        pass
    return rows


def expected_s(rows: list[dict[str, Any]], share: float) -> float:
    """What a trial with that share of the epochs will take, by those trained in one go so far.

    The mean of those with the same share; else by a straight line over the shares, which need not
    go through zero, since building and converting takes its time, but no less than those with a
    smaller share took; else in proportion.
    """
    seen = [row for row in rows if row["status"] == DONE and not row["resumed"]]
    alike = [row["seconds"] for row in seen if row["share"] == share]
    if alike or not seen:
        return float(np.mean(alike)) if alike else 0.0
    shares, seconds = ([row[key] for row in seen] for key in ("share", "seconds"))
    if len(set(shares)) == 1:
        return float(np.mean(seconds)) * share / shares[0]
    slope, start = np.polyfit(shares, seconds, 1)
    smaller = [row["seconds"] for row in seen if row["share"] < share]
    return max(float(start + slope * share), float(np.mean(smaller)) if smaller else 0.0)


def _tried(
    plan: Plan, meter: Meter, material: Material, callbacks: trial.Callbacks, *,
    name: str, values: dict[str, Any], share: float,
) -> dict[str, Any]:  # fmt: skip
    cost: dict[str, Any] = {}
    resumed = False
    try:
        run = Run.create(plan.candidate(name, values, share))
        resumed = trial.begun(run)
        if plan.limit.most is not None:
            cost = meter.cost(run.config)
            reason = plan.limit.refusal(cost)
            if reason:
                return {"status": REFUSED, "resumed": resumed, "reason": reason, **cost}
    except UserError as error:
        if name == BASE:  # nothing that is proposed will do better
            raise
        return {"status": REFUSED, "resumed": resumed, "reason": str(error), **cost}
    try:
        row = {**cost, **trial.judge(run, material, callbacks=callbacks)}
    except UserError as error:
        return {"status": FAILED, "resumed": resumed, "reason": str(error), **cost}
    reason = plan.limit.refusal(row)  # the trained file may be some bytes larger
    row |= {"resumed": resumed, "status": REFUSED if reason else DONE}
    return {**row, "reason": reason} if reason else row


def _kept(where: Path, asked: dict[str, Any]) -> dict[str, Any]:
    """The row of a finished trial, which must be of the candidate that is asked for."""
    row = files.read_json(where, dict)
    numbers = {"seconds": float, **({"accuracy": float} if row.get("status") == DONE else {})}
    whole = all(isinstance(row.get(key), kind) for key, kind in numbers.items())
    if not whole or row.get("status") not in (DONE, REFUSED, FAILED) or "resumed" not in row:
        raise UserError(f"{where}: damaged; delete it and run again")
    if files.fingerprint([row.get(key) for key in asked]) != files.fingerprint([*asked.values()]):
        raise UserError(
            f"{where}: of another candidate than this version of KerasTuner proposes; "
            "give another --out to begin anew"
        )
    return row
