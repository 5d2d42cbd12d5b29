"""The scripts are put together from their files, and the server takes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.engines.redis import scripts
from headrace.engines.redis.link import Link
from headrace.message import Retention
from headrace.record import FIRST_ATTEMPTS_KEPT, LAST_ATTEMPTS_KEPT
from headrace.write import LOST_LEASES_LIMIT

LUA = Path(scripts.__file__).with_name("lua")


def test_every_file_is_part_of_a_script() -> None:
    for file in LUA.glob("*.lua"):
        body = file.read_text(encoding="utf-8")
        assert any(body in script.text for script in scripts.SCRIPTS), file


def test_every_file_says_what_it_is() -> None:
    for file in LUA.glob("*.lua"):
        assert file.read_text(encoding="utf-8").startswith(f"-- {file.stem.capitalize()}: "), file


def test_the_server_knows_them_by_the_same_hash(link: Link) -> None:
    loads = [("SCRIPT", "LOAD", script.text) for script in scripts.SCRIPTS]
    assert [sha.decode() for sha in link.ask(loads)] == [s.sha for s in scripts.SCRIPTS]


@pytest.mark.parametrize("script", scripts.SCRIPTS)
def test_only_new_work_is_refused_when_the_memory_is_used_up(script: scripts.Script) -> None:
    allowed = script.text.startswith("#!lua flags=allow-oom\n")
    assert allowed is (script not in {scripts.ACCEPT, scripts.ARRIVE})


def test_limits_are_those_of_every_engine() -> None:
    text = scripts.COMMIT.text
    kept = f"FIRST_ATTEMPTS_KEPT, LAST_ATTEMPTS_KEPT = {FIRST_ATTEMPTS_KEPT}, {LAST_ATTEMPTS_KEPT}"
    assert f"local {kept} " in text
    assert f"local LOST_LEASES_LIMIT = {LOST_LEASES_LIMIT} " in text
    days = [int(seconds / 86_400) for seconds in (Retention().succeeded, Retention().dead)]
    assert f"DEFAULT_KEEP, DEFAULT_KEEP_DEAD = {days[0]} * 86400, {days[1]} * 86400" in text


def test_no_script_needs_another_kind_of_time() -> None:
    for file in LUA.glob("*.lua"):
        text = file.read_text(encoding="utf-8")
        assert ("redis.call('TIME')" in text) is (file.stem == "unit")
