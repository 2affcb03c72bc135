"""What every section of the settings shares: one way to state a rule that a value breaks."""

from __future__ import annotations

import re
from typing import Any

from audio_edge.errors import UserError


class Section:
    """A section of the settings; its class is called <Name>Config."""

    def require(self, condition: bool, rule: str, **received: Any) -> None:
        """Raise unless the condition holds; shows `received`, else the keys that the rule names."""
        if not condition:
            keys = [word for word in re.findall(r"\w+", rule) if word in vars(self)]
            received = received or {key: getattr(self, key) for key in keys}
            came = ", ".join(f"{key}={value!r}" for key, value in received.items())
            section = type(self).__name__.removesuffix("Config").lower()
            raise UserError(f"[{section}] {rule}. Received: {came}")
