"""The page of the review: what stands in it, and which key is for which label."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from audio_edge.review.style import CSS, SCRIPT

POLICY = (  # the browser itself refuses to load anything from elsewhere
    "default-src 'none'; connect-src 'self'; img-src data:; media-src data:; "
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
)
_SPARE = "1234567890abcdefghijklmnopqrstuvwxyz"


def keys(labels: Sequence[str]) -> list[str]:
    """A key for each label: its first letter that is free, else any that is; "" beyond 36."""
    chosen: list[str] = []
    for label in labels:
        letters = [sign for sign in label.lower() if sign.isascii() and sign.isalnum()]
        free = (sign for sign in [*letters, *_SPARE] if sign not in chosen)
        chosen.append(next(free, ""))
    return chosen


def render(title: str, labels: Sequence[str]) -> str:
    """The HTML of the page.

    Args:
        title: Of the queue.
        labels: What a clip may be called.
    """
    buttons = "".join(
        f'<button type="button" data-label="{escape(label)}" data-key="{key}">'
        f"<kbd{'' if key else ' hidden'}>{key.upper()}</kbd>{escape(label)}</button>"
        for label, key in zip(labels, keys(labels), strict=True)
    )
    name = escape(title)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Review: {name}</title>
<link rel="icon" href="data:,">
<style>{CSS}</style>
</head>
<body>
<header>
<div class="bar"><h1>Review: {name}</h1><span id="counts" role="status"></span>
<button type="button" id="undo" disabled><kbd>←</kbd>undo</button></div>
<progress id="progress" value="0" max="1" aria-label="Clips decided"></progress>
</header>
<main>
<div id="clip" hidden>
<p class="facts"><span class="why" id="why"></span>
<span>from <b id="source"></b></span><span>heard by <b id="model"></b></span>
<span>said to be <b id="given"></b></span></p>
<div class="sound"><img id="picture" alt="Spectrogram of the clip; click to play from there">
<i id="head" hidden></i><small class="high" id="high"></small><small class="low" id="low"></small>
</div>
<div class="player"><audio id="player" controls preload="auto"></audio>
<label><input type="checkbox" id="alone"> play each clip by itself</label></div>
<div class="answer">
<section aria-labelledby="ask"><h2 id="ask">What is heard?</h2>
<div class="labels">{buttons}</div>
<div class="tools">
<button type="button" id="accept"><kbd>Enter</kbd>as the model says</button>
<button type="button" id="skip"><kbd>→</kbd>skip, ask again later</button>
<button type="button" id="drop"><kbd>Del</kbd>of no use</button>
</div></section>
<section aria-labelledby="heard"><h2 id="heard">The model heard</h2>
<ul class="scores" id="scores"></ul><p class="none" id="unheard">nothing is known</p></section>
</div>
</div>
<div class="done" id="done" hidden><p><strong id="empty"></strong></p><p id="sums"></p></div>
<p class="error" id="error" role="alert"></p>
</main>
<footer>
<p><span><kbd>Space</kbd> plays and stops</span> <span><kbd>letter</kbd> gives the label</span>
<span><kbd>Enter</kbd> takes the model's</span> <span><kbd>→</kbd> skips</span>
<span><kbd>Del</kbd> of no use</span> <span><kbd>←</kbd> or <kbd>⌫</kbd> undoes</span></p>
</footer>
<script>{SCRIPT}</script>
</body>
</html>
"""
