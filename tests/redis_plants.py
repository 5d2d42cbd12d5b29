"""Bugs for the Lua scripts: a passage that is replaced by another one."""

from __future__ import annotations

import hashlib

import pytest

from headrace.engines.redis import engine, link, reading, scripts
from headrace.engines.redis.scripts import Script


def plant(monkeypatch: pytest.MonkeyPatch, old: str, new: str) -> None:
    """Replace a passage in every script that has it.

    Raises:
        AssertionError: none has it any more, so that the plant would prove nothing.
    """
    found = False
    planted: list[Script] = []
    for script in scripts.SCRIPTS:
        text = script.text.replace(old, new)
        found = found or text != script.text
        sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
        planted.append(Script(text, sha))
        for module in (scripts, engine, reading):
            for name, value in list(vars(module).items()):
                if value is script:
                    monkeypatch.setattr(module, name, planted[-1])
    assert found, f"no script has the passage {old!r}"
    monkeypatch.setattr(link, "SCRIPTS", tuple(planted))
