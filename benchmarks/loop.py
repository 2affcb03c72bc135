"""An accent that training never heard: python -m benchmarks.loop RUN [--accent de].

The loop of docs/loop.md, from the service to a better model. RUN is a finished run on offline
voices. Every variant of the voices says every word in the accent to the service, which feeds the
review queue; who labels the clips knows what was said, but for the share --wrong. Then
training.retrain.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from audio_edge import audio, files, registry
from audio_edge.datasets.voices import FOREIGN, VARIANTS, Voice
from audio_edge.errors import UserError, command
from audio_edge.review.queue import Queue, digest_of
from audio_edge.run import Run
from benchmarks import load

_NAME = "words"


@command
def main(argv: Sequence[str] | None = None) -> int:
    """What a deployed model loses on an accent, and how much of it retraining brings back."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loop", description=main.__doc__)
    parser.add_argument("run", metavar="RUN", help="finished run of kind synthetic")
    parser.add_argument(
        "--accent", choices=FOREIGN, default="de", help="of all voices (default %(default)s)"
    )
    parser.add_argument(
        "--wrong", type=float, default=0.0, help="share of wrong labels (default 0)"
    )
    parser.add_argument("--out", metavar="DIR", help="a new folder (default RUN/loop-ACCENT-WRONG)")
    parser.add_argument("--seed", type=int, default=0, help="of the wrong labels (default 0)")
    args = parser.parse_args(argv)
    run = Run.open(args.run)
    if not 0 <= args.wrong <= 1:
        raise UserError(f"--wrong must be in [0, 1]. Received: {args.wrong:g}")
    if run.config.data.kind != "synthetic":
        raise UserError(f"{args.run}: learnt recordings; give a run of data.kind = 'synthetic'")
    out = Path(args.out or run.dir / f"loop-{args.accent}-{args.wrong:g}")
    if out.exists():
        raise UserError(f"{out}: exists; delete it or give another --out")
    place, queue, root = out / "clips", out / "queue", out / "models"
    model = str(run.model("int8"))
    _say(run, args.accent, place)
    _do("training.registry", root, "add", _NAME, model, "--promote")
    _do("training.review", queue, "set", "--model", model, "--consent", "synthetic voices")
    heard = _serve(root / _NAME, run.model("float"), queue, place)
    print(f"{len(heard)} clips of the accent were served, {sum(heard.values())} heard right")
    wrong = _label(Queue(queue), place, args.wrong, random.Random(args.seed))
    print(f"{len(Queue(queue).reviewed())} of them are in the queue, {wrong} labelled wrong")
    done = _do("training.retrain", run.dir, queue, "--registry", root, "--name", _NAME, check=False)
    if done.returncode not in (0, 1):
        raise UserError(f"training.retrain failed: {done.stderr.strip().splitlines()[-1]}")
    last = registry.numbers(root, _NAME)[-1]
    verdict = registry.find(root, _NAME, last).lineage["verdict"]
    print(report(verdict))
    files.write_json(out / "verdict.json", verdict)
    return 0


def report(verdict: dict[str, Any]) -> str:
    """What the accent lost, what came back, and the classes that lost most, of a verdict."""
    test, accent = verdict["test"], verdict["reviewed"]
    lost = test["accuracy_b"] - accent["accuracy_b"]
    back = accent["accuracy_a"] - accent["accuracy_b"]
    name, row = min(verdict["classes"].items(), key=lambda item: item[1]["new"] - item[1]["old"])
    share = f", {back / lost:.0%} of them" if lost > 0 else ""
    lines = ["", "| | clips | before, % | after, % | p |", "| --- | ---: | ---: | ---: | ---: |"]
    for what, pair in (("test clips", test), ("accent, speakers held out", accent)):
        before, after = 100 * pair["accuracy_b"], 100 * pair["accuracy_a"]
        lines.append(
            f"| {what} | {pair['n']} | {before:.1f} | {after:.1f} | {pair['p_value']:.2g} |"
        )
    return "\n".join([
        *lines, "",
        f"lost to the accent: {100 * lost:.1f} points; brought back: {100 * back:.1f}{share}",
        f"class that gains least: {name}, {100 * row['old']:.1f} to {100 * row['new']:.1f} % of "
        f"{row['n']} clips, p = {row['p_value']:.2g}",
        ("promoted: " if verdict["promoted"] else "not promoted: ") + verdict["reason"],
    ])  # fmt: skip


def _say(run: Run, accent: str, place: Path) -> None:
    """Every word once by every variant, as place/WORD/VARIANT.wav."""
    from audio_edge.datasets.rendering import Take, render
    from audio_edge.datasets.speech import Speaker

    data = run.config.data
    with Speaker() as speaker:
        for word in data.words:
            (place / word).mkdir(parents=True)
            for variant in VARIANTS:
                take = Take(word, Voice("espeak", accent, variant), 0)
                clip = render(
                    take, speaker, sample_rate=data.sample_rate, clip_samples=data.clip_samples,
                    seed=run.config.run.seed,
                )  # fmt: skip
                audio.write(place / word / f"{variant}.wav", clip, data.sample_rate)


def _serve(model: Path, other: Path, queue: Path, place: Path) -> dict[Path, bool]:
    """Have every clip recognised, with consent: whether right."""
    options = ["--queue", str(queue), "--against", "float", "--control", "1", "--workers", "1"]
    service, url = load.start([f"deployed={model}", f"float={other}"], options)
    try:
        return {clip: _right(url, clip) for clip in sorted(place.rglob("*.wav"))}
    finally:
        service.terminate()  # what waits for the queue is written first
        service.wait()


def _right(url: str, clip: Path) -> bool:
    query = f"model=deployed&output=probabilities&consent=true&source={clip.stem}"
    with urllib.request.urlopen(f"{url}/v1/recognize?{query}", data=clip.read_bytes()) as answer:
        [found] = json.load(answer)["clips"]
    probs: dict[str, float] = found["probabilities"]
    return max(probs, key=probs.__getitem__) == clip.parent.name


def _label(queue: Queue, place: Path, wrong: float, rng: random.Random) -> int:
    """Label every clip with what was said, or by chance with another word: how many of these."""
    truth = {}
    for path in place.rglob("*.wav"):
        clip, rate = audio.read(path, sample_rate=None)
        truth[digest_of(clip, rate)] = path.parent.name
    words, count = sorted(set(truth.values())), 0
    for item in queue.next(len(truth)):
        label = truth[item.sha256]
        if rng.random() < wrong:
            label, count = rng.choice([word for word in words if word != label]), count + 1
        queue.decide(item.sha256, "label", label)
    return count


def _do(name: str, *arguments: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command of the project, and show it."""
    given = [str(argument) for argument in arguments]
    print(f"python -m {name} {' '.join(given)}", flush=True)
    done = subprocess.run(
        [sys.executable, "-m", name, *given], stdout=None, stderr=subprocess.PIPE, text=True
    )
    if check and done.returncode:
        raise UserError(f"{name} failed: {done.stderr.strip().splitlines()[-1]}")
    return done


if __name__ == "__main__":
    sys.exit(main())
