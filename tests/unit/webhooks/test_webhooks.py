"""Beside each submit stands who wants to know how the job ends, in the same commit."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from headrace import App
from headrace.errors import BlockedDestination, ConfigError, DuplicateJob
from headrace.testing import ManualClock
from headrace.webhooks import Webhooks
from headrace.webhooks.endpoint import Endpoint
from headrace.webhooks.endpoints import PREFIX
from headrace.webhooks.interest import CALLBACK, read
from headrace.webhooks.interest import PREFIX as INTERESTS
from headrace.write import Put

URL = "https://example.com/done"


def interests(app: App) -> dict[str, str | None]:
    entries = app.engine.scan(INTERESTS).wait(30)
    return {e.key.removeprefix(INTERESTS): read(e.value).callback for e in entries}


def settle(app: App, clock: ManualClock) -> None:
    """Let the process learn which endpoints there are."""
    clock.advance(3)
    webhooks = Webhooks(app)
    webhooks(app.engine, [])
    assert webhooks._directory.look(app.engine) is not None


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def app(clock: ManualClock) -> App:
    return App("memory:", clock=clock)


def test_a_callback_is_noted(app: App, clock: ManualClock) -> None:
    @app.task
    def report() -> None: ...

    webhooks = Webhooks(app)
    settle(app, clock)
    told = report.using(headers=webhooks.callback("HTTPS://Example.com/done")).submit()
    report.submit()
    assert interests(app) == {told.id: URL}


def test_what_no_endpoint_wants_is_not_noted(app: App, clock: ManualClock) -> None:
    @app.task
    def report() -> None: ...

    Webhooks(app)
    endpoint = Endpoint(id="ep", url=URL, keys=(), created_at=0.0, tags=("april",))
    app.engine.apply(Put(PREFIX + "ep", msgspec.json.encode(endpoint))).wait(30)
    settle(app, clock)
    report.using(tags=["may"]).submit()
    wanted = report.using(tags=["april"]).submit()
    assert interests(app) == {wanted.id: None}


def test_while_it_is_not_known_what_endpoints_want_everything_is_noted(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    @app.task
    def report() -> None: ...

    monkeypatch.setattr(Webhooks(app)._directory, "look", lambda _: None)
    first = report.submit()
    assert interests(app) == {first.id: None}


def test_a_job_and_its_note_are_one(app: App) -> None:
    @app.task
    def report() -> None: ...

    headers = Webhooks(app).callback(URL)
    first = report.using(headers=headers, unique_key="k").submit()
    with pytest.raises(DuplicateJob):
        report.using(headers=headers, unique_key="k").submit()
    assert interests(app) == {first.id: URL}


def test_in_a_transaction_they_are_one(tmp_path: Path) -> None:
    with App(f"sqlite:///{tmp_path / 'jobs.db'}") as app:

        @app.task
        def report() -> None: ...

        told = report.using(headers=Webhooks(app).callback(URL))
        tx = app.engine.begin()
        told.using(tx=tx).submit()
        tx.rollback().wait(30)
        assert interests(app) == {}
        tx = app.engine.begin()
        job = told.using(tx=tx).submit()
        tx.commit().wait(30)
        assert interests(app) == {job.id: URL}


def test_an_app_has_one(app: App) -> None:
    assert Webhooks(app) is Webhooks(app)
    assert len(app.companions) == 1
    assert Webhooks(App("memory:")) is not Webhooks(app)


def test_where_nothing_may_be_sent_is_refused(app: App) -> None:
    webhooks = Webhooks(app)
    with pytest.raises(BlockedDestination):
        webhooks.callback("http://169.254.169.254/")
    local = Webhooks(App("memory:", webhook_allow=["127.0.0.0/8"]))
    assert local.callback("http://127.0.0.1:9000") == {CALLBACK: "http://127.0.0.1:9000/"}


def test_a_setting_that_is_no_network_is_refused() -> None:
    with pytest.raises(ConfigError, match="webhook_allow"):
        Webhooks(App("memory:", webhook_allow=["localhost"]))
