"""Requests and answers are those of the HTTP library, and the key goes with each."""

from __future__ import annotations

import httpx2
import pytest

from headrace.client.exchange import Request
from headrace.client.wire import answered, keywords, lost, wire_settings
from headrace.errors import ConfigError


def test_the_key_goes_into_every_request_beside_the_programs_own_headers() -> None:
    settings = wire_settings("http://localhost/api/", "hr_1", {"headers": {"X-A": "b"}})
    assert settings["base_url"] == "http://localhost/api"
    assert settings["headers"] == {"X-A": "b", "Authorization": "Bearer hr_1"}


def test_a_url_of_something_else_is_refused() -> None:
    with pytest.raises(ConfigError, match="where the gateway is"):
        wire_settings("localhost:8000", None, {})


def test_a_request_below_a_prefix_stays_there() -> None:
    with httpx2.Client(**wire_settings("http://localhost/api", None, {})) as client:
        wanted = keywords(Request(method="GET", path="/v1/jobs", query=(("tag", "a b"),)))
        wanted.pop("timeout")
        request = client.build_request(**wanted)
    assert str(request.url) == "http://localhost/api/v1/jobs?tag=a+b"


def test_an_answer_has_status_headers_and_body() -> None:
    answer = answered(httpx2.Response(202, headers={"Retry-After": "1"}, content=b"x"), b"x")
    assert (answer.status, answer.headers["retry-after"], answer.body) == (202, "1", b"x")


def test_no_answer_says_why() -> None:
    assert lost(httpx2.ConnectError("refused")).trouble == "refused"
    assert lost(httpx2.ReadTimeout("")).trouble == "ReadTimeout"
