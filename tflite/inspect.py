"""What is inside a model: python -m tflite.inspect FILE [--json] [--tensors].

Exit code 1 if the file needs ops that a plain TFLite runtime lacks (custom or Flex).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from audio_edge import measure
from audio_edge.card import read_model, split
from audio_edge.errors import UserError, command
from audio_edge.files import sha256
from tflite.shadowing import check_not_shadowed

LARGEST = 15


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Print the header, ops, tensors, parts, sparsity and delegate coverage of one file."""
    parser = argparse.ArgumentParser(prog="python -m tflite.inspect", description=main.__doc__)
    parser.add_argument("file", help="a .tflite file")
    parser.add_argument("--json", action="store_true", help="everything, as JSON")
    parser.add_argument("--tensors", action="store_true", help=f"all tensors, not {LARGEST}")
    args = parser.parse_args(argv)
    check_not_shadowed()
    facts = inspect(args.file)
    if args.json:
        print(json.dumps(facts, indent=2, ensure_ascii=False))
    else:
        print(report(facts, every_tensor=args.tensors))
    foreign = facts["not_builtin"]
    if foreign:
        print(
            f"error: {args.file}: holds ops that are not builtin: {', '.join(foreign)}; "
            "export it with TFLITE_BUILTINS only",
            file=sys.stderr,
        )
        return 1
    return 0


def inspect(path: str) -> dict[str, Any]:
    """Everything the report shows, as plain values.

    Raises:
        UserError: The file is missing or damaged, or not a TFLite model.
    """
    content = read_model(path)
    _, card = split(content, source=path)
    summary = measure.model_summary(path)
    runtimes: dict[str, dict[str, Any]] = {}
    for name in measure.light_runtimes():
        try:
            measure.peak_memory(path, runtime=name)  # in a process of its own: a crash is an answer
            runtimes[name] = {"runs": True, **measure.delegate_coverage(path, runtime=name)}
        except UserError as error:
            runtimes[name] = {"runs": False, "reason": str(error)}
    return {
        "file": path,
        "sha256": sha256(content),
        **measure.sizes(path),
        "card": card.to_dict() if card else None,
        "runtimes": {
            name: {"version": measure.device()["runtimes"][name], **facts}
            for name, facts in runtimes.items()
        },
        **summary,
    }


def report(facts: dict[str, Any], *, every_tensor: bool = False) -> str:
    """The facts of `inspect` as text.

    Args:
        facts: Of `inspect`.
        every_tensor: List all constants instead of the largest.
    """
    tensors = facts["tensors"] if every_tensor else facts["tensors"][:LARGEST]
    ops = [(f"{op['count']} x", op["op"], f"v{op['version']}", op["dtype"]) for op in facts["ops"]]
    constants = [
        (str(row["bytes"]), row["dtype"], str(row["shape"]), row["part"], row["name"])
        for row in tensors
    ]
    parts = [
        (name, f"{part['ops']} ops", f"{part['bytes']} bytes of constants")
        for name, part in facts["parts"].items()
    ]
    sparsity = [
        (f"{row['sparsity']:.3f}", row["part"], row["op"], row["name"]) for row in facts["kernels"]
    ]
    total = "" if facts["sparsity"] is None else f", sparsity {facts['sparsity']:.3f}"
    count = f"{len(tensors)} of {len(facts['tensors'])}"
    lines = [
        *_header(facts),
        *("", "ops", *_table(ops)),
        *("", f"constants, largest first, in bytes ({count})", *_table(constants)),
        *("", "parts", *_table(parts)),
        *("", "sparsity of the kernels", *_table(sparsity)),
        *("", f"classifier: {facts['params']} params{total}"),
    ]
    return "\n".join(lines)


def _header(facts: dict[str, Any]) -> list[str]:
    rows = [
        ("file", facts["file"]),
        ("sha256", facts["sha256"]),
        ("size", f"{facts['size_bytes']} bytes, zipped {facts['zip_bytes']}"),
    ]
    card = facts["card"]
    if card:
        rows += [
            ("name", f"{card['name']}, {card['stage']}"),
            ("input", f"{card['clip_samples']} samples at {card['sample_rate']} Hz"),
            ("labels", ", ".join(card["labels"])),
            ("licences", ", ".join(card["licences"]) or "none given"),
        ]
    else:
        rows.append(("card", "none"))
    for name, runtime in facts["runtimes"].items():
        if runtime["runs"]:
            told = f"runs, {runtime['delegated']} of {runtime['ops']} ops delegated"
        else:
            told = f"does not run: {runtime['reason']}"
        rows.append((name, f"{runtime['version']}: {told}"))
    return _table(rows, indent="")


def _table(rows: Sequence[tuple[str, ...]], indent: str = "  ") -> list[str]:
    """Rows with their columns aligned, the last one ragged."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        indent
        + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


if __name__ == "__main__":
    sys.exit(main())
