"""Retraining that is killed: the registry stays whole, and the weights come out the same.

`python -m tests.killed_retraining --kills 20` starts `training.retrain` again and again, kills it
with SIGKILL at a moment drawn from the seed, looks at the registry each time, and lets it end.
Half of the moments lie anywhere in the work, half between the last stage and the end, where the
new version is added and promoted.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np

from audio_edge import files, registry
from audio_edge.streaming_interpreter import open_model
from tests import accent

ROOT = Path(__file__).parents[1]
NAME = "tones"
# the time of so small a file, on a machine that does other things too, may double by chance
OPTIONS = ("--slower", "9")


class Retraining:
    """One retraining that is begun as often as need be.

    Args:
        place: Of `accent.make`.
        queue: Of `accent.fill`.
        root: Of the registry.
        out: Of the new run.
    """

    def __init__(self, place: Path, queue: Path, root: Path, out: Path) -> None:
        self.root, self.out, self._log = root, out, place / "log.txt"
        command = [str(place / "run"), str(queue), "--registry", str(root), "--out", str(out)]
        self._command = [sys.executable, "-m", "training.retrain", *command, *OPTIONS]

    def run(self) -> tuple[float, float]:
        """Let it end: seconds to where it judges, and from there on."""
        begun = time.monotonic()
        with self._process() as process:
            self._until_judged(process)
            judged = time.monotonic()
            assert process.wait() == 0, self._log.read_text()
        return judged - begun, time.monotonic() - judged

    def kill(self, pause_s: float, *, judging: bool) -> bool:
        """Begin and kill it, so many seconds later, or later than where it judges.

        Returns:
            Whether it was still at work.
        """
        with self._process() as process:
            if judging:
                self._until_judged(process)
            try:
                assert process.wait(pause_s) == 0, self._log.read_text()
            except subprocess.TimeoutExpired:
                process.kill()
                return True
            return False

    def look(self) -> str:
        """Hold all versions against their hashes, and hear with the current one.

        Returns:
            What there is, in words.
        """
        numbers = registry.numbers(self.root, NAME)
        for number in numbers:
            registry.find(self.root, NAME, number)
        current = registry.current(self.root, NAME)
        if current is None:
            return f"versions {numbers}, none current"
        model = open_model(self.root / NAME / registry.CURRENT / registry.MODEL)
        noise = np.random.default_rng(0).normal(scale=0.1, size=model.clip_samples)
        probs = model(noise.astype(np.float32))
        assert np.isfinite(probs).all() and abs(probs.sum() - 1) < 0.02, probs  # int8
        return f"versions {numbers}, {current} current"

    def _process(self) -> subprocess.Popen[bytes]:
        with self._log.open("wb") as log:
            return subprocess.Popen(self._command, cwd=ROOT, stdout=log, stderr=log)

    def _until_judged(self, process: subprocess.Popen[bytes]) -> None:
        """Wait until the files are proved, this time."""
        proof = self.out / "results" / "parity.json"
        before = files.stamp(proof)
        while files.stamp(proof) == before and process.poll() is None:
            time.sleep(0.005)


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        accent.make(place)
        accent.fill(place, place / "queue")
        queue, out = place / "queue", place / "whole"
        whole = Retraining(place, queue, place / "registry", out)
        times = whole.run()
        print(f"whole: {times[0]:.1f} s, then {times[1]:.1f} s to judge; {whole.look()}")
        ends = kill(place, queue, made(out), kills=args.kills, times=times, seed=args.seed)
    print(f"{args.kills} kills, {ends} ends, all with the same weights and files")
    return 0


def made(run: Path) -> dict[str, str]:
    """A hash of what every stage of a retraining and every `.tflite` file holds."""
    found = {path.parent.name: _weights(path) for path in run.glob("*/weights.h5")}
    models = run.glob("tflite/*.tflite")
    return {**found, **{path.name: files.sha256(path.read_bytes()) for path in models}}


def _weights(path: Path) -> str:
    """Of the values alone: Keras counts names on from what the process has built before."""
    found: list[str] = []
    with h5py.File(path) as file:
        file.visititems(
            lambda _, item: found.append(files.sha256(np.array(item).tobytes()))
            if isinstance(item, h5py.Dataset) else None
        )  # fmt: skip
    return files.fingerprint(sorted(found))


def kill(
    place: Path, queue: Path, wanted: dict[str, str], *, kills: int, times: tuple[float, float],
    seed: int,
) -> int:  # fmt: skip
    """Kill a retraining so often, then let it end; how often it ended. The rest is asserted.

    One that ends before its kill is held against the one that was never killed, and begun anew in a
    registry of its own.

    Args:
        place: See `Retraining`.
        queue: See there.
        wanted: What `made` finds where nobody killed it.
        kills: How many.
        times: Seconds to where it judges, and from there on, over which the kills are spread.
        seed: Of the moments.
    """
    rng, out, done, ends = np.random.default_rng(seed), place / "killed", 0, 0
    while True:
        work = Retraining(place, queue, place / f"registry-{ends}", out)
        while done < kills:
            judging = done % 2 == 1
            pause = rng.uniform(0, times[judging])
            if not work.kill(pause, judging=judging):
                break
            done += 1
            where = "of judging" if judging else "of work"
            print(f"kill {done}: after {pause:.2f} s {where}; {work.look()}", flush=True)
        else:
            work.run()
        ends += 1
        assert work.look() == "versions [1, 2], 2 current"
        assert made(out) == wanted
        assert registry.find(work.root, NAME).sha256 == wanted["model_int8.tflite"]
        if done == kills:
            return ends
        shutil.rmtree(out)


if __name__ == "__main__":
    sys.exit(main())
