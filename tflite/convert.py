"""Convert a trained run: python -m tflite.convert RUN_OR_STAGE [--to KIND].

Without --to, a run becomes model_float.tflite and model_int8.tflite in RUN/tflite; a stage becomes
what it can become. Every form takes raw PCM as float32 in [-1, 1] and gives probabilities, and
holds its card. With --streaming a .tflite file takes the next packet and its state instead of a
whole clip; with --streams 16 too, those of 16 live streams at once. --c-array writes it as C too;
so it does with a finished FILE.tflite.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from audio_edge.errors import UserError, command
from tflite.shadowing import check_not_shadowed

if TYPE_CHECKING:
    from audio_edge.run import Run

_OTHERS = {"onnx": Path("onnx") / "model.onnx", "saved_model": Path("saved_model") / "1"}


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    check_not_shadowed()
    args = _parser().parse_args(argv)
    source = Path(args.source)
    if source.suffix == ".tflite" and source.is_file():
        return _to_c(source, args)
    from audio_edge.run import Run, locate

    found = locate(source)
    if found is None or not source.is_dir():
        raise UserError(
            f"{source}: neither a run directory nor a stage of one; "
            "make one with python -m training.run CONFIG"
        )
    run, stage = found
    whole = source == run.dir
    kinds = ["float", "int8"] if whole else ["int8" if stage == "qat" else "float"]
    if args.to:
        kinds = [args.to]
    if args.out and len(kinds) > 1:
        raise UserError("--out names one file; say which by --to float or --to int8")
    if args.streams > 1 and not args.streaming:
        raise UserError(
            "--streams is how many a streaming file takes at once; give --streaming too"
        )
    of_tflite = args.c_array or args.streaming or args.runtime != "any"
    if args.to in ("onnx", "saved_model") and of_tflite:
        raise UserError(
            "--c-array, --streaming and --runtime are of .tflite files; give --to float or int8"
        )
    usual = {kind: _usual(run, kind, args) for kind in kinds}
    wanted = [(kind, Path(args.out) if args.out else usual[kind]) for kind in kinds]
    for kind, target in wanted:
        _check_place(kind, target, args)
    for kind, target in wanted:
        print(_write(Run.open(run.dir), kind, None if whole else stage, target, args))
        if args.c_array:
            _print_c(target)
    return 0


def _parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m tflite.convert", description=__doc__)
    made.add_argument(
        "source", metavar="RUN_OR_STAGE", help="a run directory, or DIR/float, DIR/pruned, ..."
    )
    made.add_argument(
        "--to", choices=["float", "int8", "float16", "dynamic", "onnx", "saved_model"],
        help="what to write (default: the .tflite files that the source can become); int8 of any "
        "stage but DIR/qat is quantised after the training, dynamic has int8 weights and float "
        "activations",
    )  # fmt: skip
    made.add_argument(
        "--out", metavar="FILE",
        help="where to write (default DIR/tflite/model_KIND.tflite, DIR/onnx/model.onnx, "
        "DIR/saved_model/1)",
    )  # fmt: skip
    made.add_argument(
        "--dft", choices=["factored", "compact", "dense", "rfft"], default="factored",
        help="how the front end computes its transform: factored is the fastest, compact has the "
        "fewest constants (default %(default)s)",
    )  # fmt: skip
    made.add_argument(
        "--runtime", metavar="NAME", default="any",
        help="the runtime that must load the .tflite file: tflite-runtime-2.14, "
        "tensorflow-lite-2.16.1 (the last on Maven Central), ai-edge-litert, or any of them "
        "(default)",
    )  # fmt: skip
    made.add_argument(
        "--streaming", action="store_true",
        help="write the .tflite file that goes on from packet to packet "
        "(default DIR/tflite/model_KIND_streaming.tflite)",
    )  # fmt: skip
    made.add_argument(
        "--streams", type=int, default=1, metavar="N",
        help="with --streaming: how many live streams the file takes at once "
        "(DIR/tflite/model_KIND_streaming_N.tflite), for audio_edge.StreamBatch",
    )  # fmt: skip
    made.add_argument(
        "--c-array", action="store_true",
        help="also write the .tflite file as C: FILE.h and FILE.c, with labels and constants",
    )  # fmt: skip
    made.add_argument("--force", action="store_true", help="overwrite what is there")
    return made


def _usual(run: Run, kind: str, args: argparse.Namespace) -> Path:
    if kind in _OTHERS:
        return run.dir / _OTHERS[kind]
    return run.model(kind, streaming=args.streaming, streams=args.streams)


def _check_place(kind: str, target: Path, args: argparse.Namespace) -> None:
    suffix = _OTHERS.get(kind, Path("x.tflite")).suffix
    if suffix and target.suffix != suffix:
        raise UserError(f"{target}: --out must end in {suffix}")
    written = [target]
    if suffix == ".tflite":
        written.append(target.with_suffix(".json"))
    if args.c_array:
        from audio_edge import c_array

        written += c_array.paths(target)
    for path in written:
        if path.exists() and not args.force:
            raise UserError(f"{path}: exists already; give --force or --out FILE")


def _write(run: Run, kind: str, stage: str | None, out: Path, args: argparse.Namespace) -> Path:
    if kind == "onnx":
        from audio_edge import onnx_file

        return onnx_file.convert(run, out, stage=stage or "float", dft=args.dft)
    if kind == "saved_model":
        from audio_edge import saved_model

        return saved_model.convert(run, out, stage=stage or "float", dft=args.dft)
    from audio_edge import export
    from audio_edge.card import read_card

    export.convert(
        run, kind, stage=stage, out=out, dft=args.dft, runtime=args.runtime, stream=args.streaming,
        streams=args.streams,
    )  # fmt: skip
    if args.streaming and not read_card(out).streaming["exact"]:
        print(
            f"note: {out} hears what was before a clip, where the clip's model hears its edge; see "
            "what that changes with python -m tflite.compare, and train with "
            "model.padding = 'valid' if it is too much",
            file=sys.stderr,
        )
    return out


def _to_c(model: Path, args: argparse.Namespace) -> int:
    """A finished file as C, and nothing else."""
    if not args.c_array or args.to or args.out:
        raise UserError(f"{model}: a finished file becomes C only; give --c-array alone")
    from audio_edge import c_array

    for path in c_array.paths(model):
        if path.exists() and not args.force:
            raise UserError(f"{path}: exists already; give --force")
    _print_c(model)
    return 0


def _print_c(model: Path) -> None:
    from audio_edge import c_array

    for path in c_array.write(model):
        print(path)


if __name__ == "__main__":
    sys.exit(main())
