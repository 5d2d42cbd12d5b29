"""No web page drives somebody's gateway, and those that may read are told so."""

from __future__ import annotations

import pytest

from headrace import App
from headrace.gateway import Gateway, Settings
from headrace.gateway.door.origins import check_origin
from headrace.gateway.problem import Problem
from tests.unit.gateway.asking import Asker, scope_of

FRIEND = "https://app.example"


def passes(headers: dict[str, str], method: str = "POST", kind: str = "http") -> bool:
    """Tell whether a request to localhost:8000 passes, where the pages of `FRIEND` may."""
    shown = [("Host", "localhost:8000"), *headers.items()]
    try:
        check_origin(scope_of(shown, method=method, kind=kind), (FRIEND,))
    except Problem as problem:
        return problem.status != 403
    return True


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://localhost:8000"},
        {"Origin": "http://LOCALHOST:8000", "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": FRIEND, "Sec-Fetch-Site": "cross-site"},
        {"Origin": "https://evil.example", "Authorization": "Bearer hr_1_2"},
    ],
)
def test_programs_own_pages_and_friends_pass(headers: dict[str, str]) -> None:
    assert passes(headers)
    assert passes(headers, kind="websocket")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "null"},
        {"Origin": "https://evil.example"},
        {"Origin": "http://localhost:9000"},
        {"Origin": "http://localhost"},
        {"Origin": f"{FRIEND}.evil.example"},
        {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_other_pages_change_nothing(headers: dict[str, str]) -> None:
    assert not passes(headers)
    assert not passes(headers, method="DELETE")
    assert not passes(headers, kind="websocket")
    assert passes(headers, method="GET")


def test_default_ports_are_no_difference() -> None:
    scope = scope_of(
        [("Host", "jobs.example"), ("Origin", "https://jobs.example:443")], method="PUT"
    )
    check_origin(scope, ())


@pytest.fixture
def ask(app: App) -> Asker:
    """Ask a gateway that the pages of one origin may use."""
    return Asker(Gateway(app, Settings(anonymous=True, origins=(FRIEND,))))


def test_a_friend_reads_answers_also_bad_ones(ask: Asker) -> None:
    for path, status in (("/livez", 200), ("/v1/jobs/nothing", 404)):
        told = ask("GET", path, headers={"Origin": FRIEND})
        assert told.status_code == status
        assert told.headers["Access-Control-Allow-Origin"] == FRIEND
        assert "Retry-After" in told.headers["Access-Control-Expose-Headers"]
        assert "Origin" in told.headers["Vary"]
        assert "Access-Control-Allow-Credentials" not in told.headers


def test_a_preflight_is_answered(ask: Asker) -> None:
    wish = {"Origin": FRIEND, "Access-Control-Request-Method": "POST"}
    told = ask("OPTIONS", "/v1/tasks/paint", headers=wish)
    assert told.status_code == 204
    assert "POST" in told.headers["Access-Control-Allow-Methods"]
    assert "Idempotency-Key" in told.headers["Access-Control-Allow-Headers"]
    assert told.headers["Access-Control-Allow-Origin"] == FRIEND


def test_others_are_told_nothing(ask: Asker, app: App) -> None:
    wish = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    told = ask("OPTIONS", "/v1/tasks/paint", headers=wish)
    assert told.status_code == 405
    assert "Access-Control-Allow-Origin" not in told.headers
    assert told.headers["Vary"] == "Origin"  # a cache must not give it to a friend
    plain = Asker(Gateway(app, Settings(anonymous=True)))("GET", "/livez", headers=wish)
    assert "Vary" not in plain.headers


def test_the_gateway_checks(ask: Asker) -> None:
    told = ask("POST", "/v1/tasks/paint", json={}, headers={"Origin": "https://evil.example"})
    assert told.status_code == 403
    assert told.headers["Content-Type"] == "application/problem+json"
    assert ask("GET", "/v1/jobs/x", headers={"Host": "evil.example"}).status_code == 421
