"""A request is for a name that is served here, or it is turned away."""

from __future__ import annotations

import pytest

from headrace.gateway.door.hosts import check_host
from headrace.gateway.problem import Problem
from headrace.gateway.settings import Settings
from tests.unit.gateway.asking import scope_of

DEFAULT = Settings().hosts


def verdict(hosts: tuple[str, ...], *shown: str, server: str | None = "127.0.0.1") -> int:
    """Return the status that a request with these Host fields gets; 200 if it passes."""
    place = None if server is None else (server, 8000)
    try:
        check_host(scope_of([("Host", host) for host in shown], server=place), hosts)
    except Problem as problem:
        return problem.status
    return 200


@pytest.mark.parametrize(
    "host",
    [
        "localhost", "localhost:8000", "LOCALHOST", "localhost.", "LocalHost.:80", "127.0.0.1",
        "127.0.0.1:1", "[::1]", "[::1]:8000", "[0:0:0:0:0:0:0:1]", "localhost:",
    ],
)  # fmt: skip
def test_names_of_this_machine_are_served(host: str) -> None:
    assert verdict(DEFAULT, host) == 200


@pytest.mark.parametrize(
    "host",
    [
        "attacker.example", "localhost.attacker.example", "attacker.example:8000", "localhost..",
        "127.0.0.2", "127.1", "2130706433", "[::2]", "[::ffff:127.0.0.1]", "10.0.0.7",
    ],
)  # fmt: skip
def test_others_are_not(host: str) -> None:
    assert verdict(DEFAULT, host) == 421


@pytest.mark.parametrize(
    "host",
    ["", " ", "a b", "localhost:port", "localhost:123456", "user@localhost", "localhost/x", "[::1",
     "http://localhost", "localhost\\.x", "*", ":80", "a" * 300, "löcalhost"],
)  # fmt: skip
def test_what_is_no_name_is_malformed(host: str) -> None:
    assert verdict(("*",), host) == 400


def test_exactly_one_field() -> None:
    assert verdict(DEFAULT) == 400
    assert verdict(DEFAULT, "localhost", "localhost") == 400


def test_the_address_that_was_called_is_served() -> None:
    assert verdict(DEFAULT, "10.0.0.7:8000", server="10.0.0.7") == 200
    assert verdict(DEFAULT, "[fd00::7]", server="fd00::7") == 200
    assert verdict(DEFAULT, "10.0.0.7", server="10.0.0.8") == 421
    assert verdict(DEFAULT, "attacker.example", server="attacker.example") == 421
    assert verdict(DEFAULT, "10.0.0.7", server=None) == 421


def test_subdomains() -> None:
    hosts = ("*.jobs.example", "Jobs.example")
    assert verdict(hosts, "a.jobs.example") == 200
    assert verdict(hosts, "a.b.jobs.example:443") == 200
    assert verdict(hosts, "jobs.example") == 200
    assert verdict(("*.jobs.example",), "jobs.example") == 421
    assert verdict(hosts, "evil-jobs.example") == 421


def test_whatever_is_asked() -> None:
    assert verdict(("*",), "attacker.example") == 200
