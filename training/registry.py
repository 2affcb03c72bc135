"""Models that are deployed, and those before them: python -m training.registry REGISTRY list.

`add NAME MODEL` copies a .tflite file into a new version, `promote NAME VERSION` makes one current,
`rollback NAME` makes the one before it current again, `show NAME [VERSION]` tells its lineage.
REGISTRY/NAME/current/model.tflite is always the file to use.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from audio_edge import registry
from audio_edge.errors import UserError, command
from audio_edge.run import lineage
from audio_edge.streaming_interpreter import open_model


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    made = argparse.ArgumentParser(prog="python -m training.registry", description=__doc__)
    made.add_argument("registry", metavar="REGISTRY", help="folder of the registry")
    actions = made.add_subparsers(dest="action", metavar="ACTION", required=True)
    adding = actions.add_parser("add", help="copy a model into a new version")
    listing = actions.add_parser("list", help="all models, or the versions of one")
    showing = actions.add_parser("show", help="the lineage of a version, as JSON")
    promoting = actions.add_parser("promote", help="make a version current")
    back = actions.add_parser("rollback", help="make current what was so before")
    for action in (adding, listing, showing, promoting, back):
        count = "?" if action is listing else None
        action.add_argument("name", metavar="NAME", nargs=count, help="name of the model")
    adding.add_argument("model", metavar="MODEL", help=".tflite file")
    adding.add_argument("--promote", action="store_true", help="make it current, too")
    showing.add_argument("version", metavar="VERSION", type=int, nargs="?", help="default: current")
    promoting.add_argument("version", metavar="VERSION", type=int)
    args = made.parse_args(argv)
    if args.action == "list":
        _list(args.registry, args.name)
        return 0
    if args.action == "show":
        version = registry.find(args.registry, args.name, args.version)
        told = {"sha256": version.sha256, "added": version.added, "lineage": version.lineage}
        print(json.dumps({"name": version.name, "version": version.number, **told}, indent=2))
        print(version.model)
        return 0
    if args.action == "add":
        version = _add(args.registry, args.name, args.model)
        if args.promote:
            registry.promote(args.registry, args.name, version.number)
    elif args.action == "promote":
        open_model(registry.find(args.registry, args.name, args.version).model)  # it must load
        version = registry.promote(args.registry, args.name, args.version)
    else:
        version = registry.rollback(args.registry, args.name)
    now = "current" if registry.current(args.registry, args.name) == version.number else "added"
    print(f"{args.name} {version.number}: {now}")
    print(version.model)
    return 0


def _add(root: str, name: str, model: str) -> registry.Version:
    """Add a model, with what its run knows of it, if it lies in one."""
    open_model(model)  # it must load
    return registry.add(
        root, name, model, lineage={"parent": None, **lineage(model)},
        added=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )  # fmt: skip


def _list(root: str, name: str | None) -> None:
    chosen = registry.names(root) if name is None else [name]
    for each in chosen:
        numbers, current = registry.numbers(root, each), registry.current(root, each)
        if not numbers:
            raise UserError(f"{Path(root) / each}: no such model; there are: "
                            f"{', '.join(registry.names(root)) or 'none'}")  # fmt: skip
        if name is None:
            print(f"{each}: {len(numbers)} versions, current {current or 'none'}")
            continue
        for number in numbers:
            try:
                version = registry.find(root, each, number)
                metrics = version.lineage.get("metrics") or {}
                share = metrics.get("accuracy")
                right = "" if share is None else f", accuracy {100 * share:.1f} %"
                told = f"{version.added}, {version.sha256[:12]}{right}"
            except UserError as error:
                told = str(error)
            print(f"{'*' if number == current else ' '} {number:3d}  {told}")


if __name__ == "__main__":
    sys.exit(main())
