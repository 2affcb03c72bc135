"""Listen to a recording or the microphone: `python -m audio_edge.listen MODEL.tflite [FILE]`.

With `--truth` it is a test: exit code 1 unless every word is heard within 0.3 s and nothing else.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from audio_edge import audio, files, live, measure, meter
from audio_edge.detector import Detection, Detector
from audio_edge.errors import UserError, command
from audio_edge.hits import MAX_MB, Command, Hits
from audio_edge.interpreter import RUNTIMES
from audio_edge.microphone import Microphone, input_devices, look_again
from audio_edge.smoother import is_ignored
from audio_edge.streaming_interpreter import open_model
from audio_edge.truth import Verdict, Word, match, read_truth

HIT_S = 3.0  # of sound, kept of each detection


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Parse the arguments, listen, print. Returns 0, or 1 if the truth was not met."""
    parser = argparse.ArgumentParser(
        prog="python -m audio_edge.listen", description=(__doc__ or "").split(":")[0] + "."
    )
    parser.add_argument("model", nargs="?", help="model file (.tflite)")
    parser.add_argument("file", nargs="?", help="recording; without it, the microphone")
    parser.add_argument(
        "--threshold", type=float, help="score in (0, 1); default: the model card's"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--truth", metavar="LABELS",
        help="what is said in FILE: an Audacity label track (.txt), or a table (.csv) as "
        "training.soundscape writes it",
    )  # fmt: skip

    parser.add_argument("--plot", metavar="OUT.png", help="draw FILE and what was heard")
    parser.add_argument("--force", action="store_true", help="overwrite OUT.png")
    parser.add_argument("--runtime", choices=RUNTIMES, help="default: the first installed")
    parser.add_argument("--device", type=int, metavar="N", help="input device, see --list-devices")
    parser.add_argument("--list-devices", action="store_true", help="print input devices and stop")
    parser.add_argument(
        "--on-detect", metavar="CMD",
        help="start a program at each detection, with AUDIO_EDGE_LABEL, _SCORE and _TIME_S",
    )  # fmt: skip
    parser.add_argument(
        "--save-hits", metavar="DIR", help=f"keep the {HIT_S:g} s before each detection there"
    )
    parser.add_argument(
        "--max-hits-mb", type=float, metavar="N",
        help="delete the oldest of these hits once all of them take more than N million bytes "
        f"(default {MAX_MB:g})",
    )  # fmt: skip
    parser.add_argument(
        "--unit", action="store_true", help="print a systemd unit that listens so, and stop"
    )
    parser.add_argument("--seconds", type=float, metavar="S", help="stop the microphone after S s")
    args = parser.parse_intermixed_args(argv)
    if args.list_devices:
        for index, name, rate in input_devices():
            print(f"{index:3d}  {name}  ({rate} Hz)")
        return 0
    _check(args)
    detector = Detector(open_model(args.model, runtime=args.runtime), threshold=args.threshold)
    if args.unit:
        print(meter.unit(_again(args)), end="")
        return 0
    if args.file is None:
        return _live(detector, args)
    return _recording(detector, args)


def _check(args: argparse.Namespace) -> None:
    if args.model is None:
        raise UserError("no model given; usage: python -m audio_edge.listen MODEL [FILE]")
    for option in ("truth", "plot"):
        if getattr(args, option) and args.file is None:
            raise UserError(f"--{option} needs a recording; give FILE")
    for option in ("on-detect", "save-hits", "unit"):
        if getattr(args, option.replace("-", "_")) and args.file is not None:
            raise UserError(f"--{option} is for the microphone; leave FILE out")
    if args.max_hits_mb is not None and not args.save_hits:
        raise UserError("--max-hits-mb is of the hits that are saved; give --save-hits DIR too")
    if args.max_hits_mb is not None and not 1 <= args.max_hits_mb <= 1e6:
        raise UserError(f"--max-hits-mb must be in [1, 1e6]. Received: {args.max_hits_mb:g}")
    if args.seconds is not None and not 0 < args.seconds < 1e6:
        raise UserError(f"--seconds must be in (0, 1e6). Received: {args.seconds:g}")
    if args.file is not None and args.seconds is not None:
        raise UserError("--seconds is for the microphone; a recording is heard to its end")
    if args.plot and Path(args.plot).exists() and not args.force:
        raise UserError(f"{args.plot}: exists; give --force to overwrite it")


def _recording(detector: Detector, args: argparse.Namespace) -> int:
    rate = detector.model.sample_rate
    waveform, _ = audio.read(args.file, sample_rate=rate)
    words = read_truth(args.truth) if args.truth else None
    if words and words[-1].start_s >= len(waveform) / rate:
        raise UserError(
            f"{args.truth}: '{words[-1].label}' at {words[-1].start_s:g} s lies beyond the "
            f"{len(waveform) / rate:.2f} s of {args.file}; give the labels of this recording"
        )
    detections, times, scores = detector.trace(waveform)
    verdict = None
    if words is not None:
        known = [word for word in words if _can_hear(detector, word)]
        verdict = match(known, detections)
    if args.plot:
        from audio_edge import plots

        plots.detections(
            args.plot, waveform, rate, detections, words,
            scores=(times, scores, detector.model.labels), threshold=_threshold(detector),
        )  # fmt: skip
    if args.json:
        print(json.dumps(_report(args, len(waveform) / rate, detections, verdict), indent=2))
    elif verdict is None:
        width = max(map(len, detector.model.labels))
        for heard in detections:
            print(_line(heard, width))
        picture = f"; picture: {args.plot}" if args.plot else ""
        seconds = len(waveform) / rate
        print(f"{_count(len(detections))} in {seconds:.2f} s of {args.file}{picture}")
    else:
        _print_verdict(verdict, [word for word in words or () if not _can_hear(detector, word)])
        picture = f"; picture: {args.plot}" if args.plot else ""
        print(f"{_summary(verdict)}{picture}")
    return 0 if verdict is None or verdict.perfect else 1


def _live(detector: Detector, args: argparse.Namespace) -> int:
    """Listen to the microphone until Ctrl-C or for some seconds."""
    model, rate = detector.model, detector.model.sample_rate
    words = [label for label in model.labels if not is_ignored(label)]
    places = [model.labels.index(word) for word in words]
    width = max(map(len, model.labels))
    ring = live.Ring(round(HIT_S * rate))
    name = model.card.name if model.card else Path(model.path).stem
    most = MAX_MB if args.max_hits_mb is None else args.max_hits_mb
    hits = None
    if args.save_hits:
        digest = files.sha256(Path(model.path).read_bytes())
        hits = Hits(args.save_hits, {"model": name, "model_sha256": digest}, max_mb=most)
    command = None if args.on_detect is None else Command(args.on_detect)
    status = sys.stderr.isatty() and not args.json
    counts: Counter[str] = Counter()
    opened: list[Microphone] = []
    usage, heard_s = measure.Usage(), 0.0

    def open_microphone() -> Microphone:
        if opened:
            look_again()
        opened.append(Microphone(rate, device=args.device))
        return opened[-1]

    def say(text: str) -> None:
        print(f"\r\x1b[K{text}" if status else text, file=sys.stderr, flush=True)

    events = live.listen(
        detector, open_microphone, ring=ring, pause=time.sleep, seconds=args.seconds
    )
    try:
        for event in events:
            if isinstance(event, live.Hop):
                if not heard_s:
                    source = opened[-1]
                    say(f"listening to {source.name} at {source.device_rate} Hz; Ctrl-C stops")
                heard_s += detector.hop_samples / rate
                if status:
                    columns = shutil.get_terminal_size().columns
                    scores = None if event.scores is None else event.scores[places]
                    text = meter.line(event.level_db, scores, words, counts, width=columns)
                    print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
            elif isinstance(event, live.Lost):
                say(f"warning: {event.reason}; waiting for it")
            elif isinstance(event, live.Back):
                say(f"{event.name} is back")
            else:
                counts[event.label] += 1
                line = json.dumps(dataclasses.asdict(event)) if args.json else _line(event, width)
                print(f"\r\x1b[K{line}" if status else line, flush=True)
                if command:
                    command.start(event)
                if hits:
                    assert detector.last_scores is not None
                    known = zip(model.labels, map(float, detector.last_scores), strict=True)
                    stamp = time.strftime("%Y%m%dT%H%M%S")
                    said = hits.save(event, ring.newest(), rate, dict(known), stamp)
                    if said:
                        say(f"warning: {said}")
    except KeyboardInterrupt:
        print(file=sys.stderr)
    lost = sum(source.overflows for source in opened)
    if lost:
        say(f"warning: audio was lost {lost} times")
    if command:
        command.close()
        if command.skipped:
            say(f"warning: --on-detect was left out {command.skipped} times")
    if not args.json:
        print(_count(sum(counts.values())))
        say(f"heard {heard_s:.0f} s with {100 * usage.cpu_share():.1f} % of a core")
    return 0


def _again(args: argparse.Namespace) -> list[str]:
    """The arguments of a unit that listens as these say, once they are known to be good."""
    if args.on_detect is not None:
        Command(args.on_detect)
    given = [os.path.abspath(args.model)]
    folder = os.path.abspath(args.save_hits) if args.save_hits else None
    options = {
        "threshold": args.threshold, "runtime": args.runtime, "device": args.device,
        "on-detect": args.on_detect, "save-hits": folder,
        "max-hits-mb": args.max_hits_mb,
    }  # fmt: skip
    for name, value in options.items():
        given += [] if value is None else [f"--{name}", str(value)]
    return given + ["--json"] * args.json


def _can_hear(detector: Detector, word: Word) -> bool:
    """Whether the model can answer a word: the others are speech that it must pass over."""
    return word.label in detector.model.labels and not is_ignored(word.label)


def _threshold(detector: Detector) -> float | None:
    """The threshold of all words; None where words have their own."""
    own = zip(detector.model.labels, detector.configs, strict=True)
    found = {item.threshold for label, item in own if not is_ignored(label)}
    return found.pop() if len(found) == 1 else None


def _line(heard: Detection, width: int) -> str:
    return f"{heard.time_s:8.2f} s  {heard.label:<{width}}  {heard.score:.2f}"


def _count(n: int) -> str:
    return f"{n} detection" if n == 1 else f"{n} detections"


def _summary(verdict: Verdict) -> str:
    return (
        f"{verdict.right} of {len(verdict.pairs)} words right, "
        f"largest time error {verdict.largest_error_s:.2f} s, {len(verdict.false)} false"
    )


def _print_verdict(verdict: Verdict, passed_over: Sequence[Word]) -> None:
    """One row a word and one a false detection, in order of time."""
    labels = [pair.word.label for pair in verdict.pairs] + [word.label for word in passed_over]
    labels += [pair.heard.label for pair in verdict.pairs if pair.heard]
    labels += [heard.label for heard in verdict.false]
    width = max(len(label) for label in [*labels, "said", "nothing"])
    rows = []
    for pair in verdict.pairs:
        name = pair.heard.label if pair.heard else "nothing"
        score = f"{pair.heard.score:.2f}" if pair.heard else "    "
        error = "        " if pair.error_s is None else f"{pair.error_s:+.2f} s "
        said = f"{pair.word.middle_s:8.2f} s  {pair.word.label:<{width}}"
        mark = "right" if pair.right else "wrong"
        rows.append((pair.word.middle_s, f"{said}  {name:<{width}}  {score}  {error} {mark}"))
    for word in passed_over:
        said = f"{word.middle_s:8.2f} s  {word.label:<{width}}"
        rows.append((word.middle_s, f"{said}  {'':<{width}}                 not a word it knows"))
    for heard in verdict.false:
        said = f"{heard.time_s:8.2f} s  {'':<{width}}"
        rows.append(
            (heard.time_s, f"{said}  {heard.label:<{width}}  {heard.score:.2f}           false")
        )
    print(f"{'time':>8}    {'said':<{width}}  {'heard':<{width}}  score error")
    for _, row in sorted(rows):
        print(row)


def _report(
    args: argparse.Namespace,
    seconds: float,
    detections: Sequence[Detection],
    verdict: Verdict | None,
) -> dict[str, Any]:
    report: dict[str, Any] = {
        "model": args.model,
        "file": args.file,
        "seconds": seconds,
        "detections": [dataclasses.asdict(heard) for heard in detections],
    }
    if args.plot:
        report["plot"] = args.plot
    if verdict is not None:
        report["truth"] = {
            "words": [
                {**dataclasses.asdict(pair), "error_s": pair.error_s} for pair in verdict.pairs
            ],
            "false": [dataclasses.asdict(heard) for heard in verdict.false],
            "right": verdict.right,
            "of": len(verdict.pairs),
            "largest_error_s": verdict.largest_error_s,
        }
    return report


if __name__ == "__main__":
    sys.exit(main())
