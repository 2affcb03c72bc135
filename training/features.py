"""Draw the features of a recording: python -m training.features RECORDING [--out features.png].

Shows what each front end makes of it, with the settings of CONFIG's [frontend] if one is given.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from audio_edge import audio
from audio_edge.config import from_dict, load_config
from audio_edge.errors import UserError, command
from audio_edge.frontend_settings import FEATURES


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    made = argparse.ArgumentParser(prog="python -m training.features", description=__doc__)
    made.add_argument("recording", metavar="RECORDING", help="a file of any format and rate")
    made.add_argument("--config", metavar="CONFIG", help="TOML file; its [frontend] and [data]")
    made.add_argument(
        "--set", metavar="SECTION.KEY=VALUE", action="append", default=[],
        help="override one key of the config; may be repeated",
    )  # fmt: skip
    made.add_argument(
        "--features", metavar="NAME,...", default=",".join(("waveform", *FEATURES[:-1])),
        help="which, in this order (default %(default)s)",
    )  # fmt: skip
    made.add_argument("--out", metavar="PNG", default="features.png", help="default %(default)s")
    made.add_argument("--force", action="store_true", help="overwrite the picture")
    args = made.parse_args(argv)
    if Path(args.out).exists() and not args.force:
        raise UserError(f"{args.out}: exists already; give --force or another name")
    if args.set and not args.config:
        raise UserError("--set changes a CONFIG; give --config")
    config = load_config(args.config, args.set) if args.config else from_dict({})
    rate, settings = config.data.sample_rate, config.frontend
    waveform, _ = audio.read(args.recording, sample_rate=rate)
    if len(waveform) < settings.frame_length:
        raise UserError(f"{args.recording}: shorter than one frame; give a longer recording")
    import dataclasses

    from audio_edge import feature_plots
    from audio_edge.frontend import Features

    names = tuple(name.strip() for name in args.features.split(","))
    settings = dataclasses.replace(settings, features=names, normalize=False)
    try:
        layer = Features(config=settings, sample_rate=rate)
        found = layer.separate(waveform[None])
    except ValueError as error:
        raise UserError(str(error)) from error
    bands = {name: value.numpy()[0] for name, value in found.items()}
    feature_plots.features(args.out, waveform, bands, settings, rate)
    print(args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
