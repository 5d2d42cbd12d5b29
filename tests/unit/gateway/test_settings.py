"""Settings come from the command line, the environment and defaults, and are of their kind."""

from __future__ import annotations

import pytest

from headrace.config import Config
from headrace.config import load as load_config
from headrace.errors import ConfigError
from headrace.gateway.settings import PREFIX, Settings, load


def test_defaults() -> None:
    assert load({}, {}) == Settings()


def test_what_is_given_wins_over_the_environment() -> None:
    environment = {f"{PREFIX}MAX_BODY": "10", f"{PREFIX}WAIT_LIMIT": "2.5"}
    assert load({"max_body": "20"}, environment) == Settings(max_body=20, wait_limit=2.5)


def test_lists_and_switches() -> None:
    read = load({"hosts": "a.example, *.b.example", "anonymous": "true"}, {})
    assert read.hosts == ("a.example", "*.b.example")
    assert read.anonymous is True
    assert load({"origins": ""}, {}).origins == ()


@pytest.mark.parametrize("name", Settings.__struct_fields__)
def test_the_apps_own_settings_do_not_mind_ours(name: str) -> None:
    assert load_config({}, {f"{PREFIX}{name.upper()}": "1"}) == Config()


@pytest.mark.parametrize(
    ("given", "environment", "complaint"),
    [
        ({"max_bdy": "1"}, {}, "max_bdy=1: .* did you mean max_body"),
        ({"colour": "red"}, {}, "no such setting; hosts, origins"),
        ({"max_body": "0"}, {}, "max_body=0: expected `int` >= 1"),
        ({"max_body": "many"}, {}, "max_body=many: expected `int`"),
        ({}, {f"{PREFIX}ANONYMOUS": "perhaps"}, "HEADRACE_GATEWAY_ANONYMOUS=perhaps: expected"),
        ({}, {f"{PREFIX}MAX_BODYS": "1"}, "HEADRACE_GATEWAY_MAX_BODYS=1: .* max_body"),
    ],
)
def test_what_makes_no_sense(
    given: dict[str, str], environment: dict[str, str], complaint: str
) -> None:
    with pytest.raises(ConfigError, match=complaint):
        load(given, environment)


def test_what_others_set_is_left_alone() -> None:
    others = {f"{PREFIX}PORT": "tcp://10.0.0.1:80", f"{PREFIX}SERVICE_HOST": "10.0.0.1"}
    assert load({}, others) == Settings()


def test_nobody_is_let_in_unless_it_is_said() -> None:
    assert not Settings().anonymous
