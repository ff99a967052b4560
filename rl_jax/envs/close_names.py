"""Which environment was meant."""

import difflib
import re
from collections.abc import Collection


def _stem(name: str) -> str:
    """The part of a name that people remember: ``breakout`` of ``Breakout-MinAtar``, ``ant`` of ``brax/ant``."""
    return re.sub(r"[^a-z]", "", name.lower().split("/")[-1].split("-")[0])


def nearest(name: str, known: Collection[str]) -> list[str]:
    """At most three of the known names, the likeliest first."""
    near = [other for other in known if other.lower() == name.lower()]
    near = near or [other for other in known if _stem(other) == _stem(name)]
    if not near:
        near = [other for other in known if len(_stem(name)) > 2 and _stem(name) in _stem(other)][:3]
    if not near:
        stems = difflib.get_close_matches(_stem(name), [_stem(other) for other in known], n=3, cutoff=0.6)
        near = [other for stem in stems for other in known if _stem(other) == stem]
    return list(dict.fromkeys(near))[:3]
