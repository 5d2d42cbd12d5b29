"""The Lua scripts, in files: each is sent once a server, and called by its hash from then on."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from typing import NamedTuple

_FOLDER = files("headrace.engines.redis") / "lua"

# What is put in front of a script: the shared parts it calls.
_LIFE = ("unit", "life")
_ALL = ("unit", "life", "writes")
_MOVE = (*_ALL, "moving")
_TELL = ("unit", "life", "telling")

_REFUSED_WHEN_FULL = "#!lua"
_ALLOWED_WHEN_FULL = "#!lua flags=allow-oom"


class Script(NamedTuple):
    """A script as the server knows it.

    Attributes:
        text: what is sent.
        sha: what it is called by.
    """

    text: str
    sha: str


def _script(name: str, parts: tuple[str, ...], *, when_full: bool = True) -> Script:
    """Put a script together; without `when_full` the server refuses it when its memory is used."""
    shebang = _ALLOWED_WHEN_FULL if when_full else _REFUSED_WHEN_FULL
    bodies = [(_FOLDER / f"{part}.lua").read_text(encoding="utf-8") for part in (*parts, name)]
    text = "\n".join([shebang, *bodies])
    return Script(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


ACCEPT = _script("commit", _ALL, when_full=False)
"""A commit that takes on new work."""
COMMIT = _script("commit", _ALL)
"""A commit that ends or keeps work, which goes on when the memory is used up."""
ARRIVE = _script("commit", _MOVE, when_full=False)
"""A commit that takes in cargo; apart, because the others need not carry what moves need."""
DEPART = _script("commit", _MOVE)
"""A commit that lets jobs depart."""
LEASE = _script("lease", _LIFE)
MAINTAIN = _script("maintain", _LIFE)
GET = _script("get", _TELL)
STATES = _script("states", _LIFE)
FIND = _script("find", _TELL)
DEPTH = _script("depth", _LIFE)
LOAD = _script("load", _LIFE)
SCAN = _script("scan", _LIFE)

SCRIPTS = (ACCEPT, COMMIT, ARRIVE, DEPART, LEASE, MAINTAIN, GET, STATES, FIND, DEPTH, LOAD, SCAN)
