"""The gateway as a whole: who may do what, route by route, and life inside other applications."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import UserSettingsHolder, global_settings
from django.conf import settings as django_settings
from django.core.asgi import get_asgi_application
from fastapi import FastAPI
from litestar import Litestar, asgi, get
from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from starlette.routing import Mount, Route, WebSocketRoute

from headrace import App
from headrace.gateway import Caller, Gateway, Settings
from headrace.gateway.caller import SCOPES, SHARED
from headrace.gateway.door.keys import create
from headrace.gateway.problem import Problem
from tests.unit.gateway.asking import Asker

OPEN, ANYONE = "open", "anyone"
MATRIX = {
    ("GET", "/livez"): OPEN,
    ("GET", "/readyz"): OPEN,
    ("GET", "/v1/problems"): OPEN,
    ("GET", "/v1/problems/{kind}"): OPEN,
    ("GET", "/v1/meta"): ANYONE,
    ("GET", "/v1/tasks"): "jobs:submit",
    ("POST", "/v1/tasks/{task}"): "jobs:submit",
    ("POST", "/v1/jobs"): "jobs:submit",
    ("POST", "/v1/jobs/batch"): "jobs:submit",
    ("GET", "/v1/jobs"): "jobs:read",
    ("GET", "/v1/jobs/{job}"): "jobs:read",
    ("GET", "/v1/jobs/{job}/result"): "jobs:read",
    ("GET", "/v1/jobs/{job}/events"): "jobs:read",
    ("POST", "/v1/jobs/{job}/cancel"): "jobs:write",
    ("POST", "/v1/jobs/{job}/retry"): "jobs:write",
    ("POST", "/v1/tickets"): "jobs:read",
    ("WEBSOCKET", "/v1/ws"): "jobs:read",
    ("GET", "/v1/webhooks/endpoints"): "webhooks",
    ("POST", "/v1/webhooks/endpoints"): "webhooks",
    ("GET", "/v1/webhooks/endpoints/{endpoint}"): "webhooks",
    ("PATCH", "/v1/webhooks/endpoints/{endpoint}"): "webhooks",
    ("DELETE", "/v1/webhooks/endpoints/{endpoint}"): "webhooks",
    ("POST", "/v1/webhooks/endpoints/{endpoint}/rotate-secret"): "webhooks",
    ("POST", "/v1/webhooks/endpoints/{endpoint}/ping"): "webhooks",
    ("POST", "/v1/webhooks/endpoints/{endpoint}/redeliver"): "webhooks",
    ("GET", "/v1/webhooks/deliveries"): "webhooks",
    ("GET", "/v1/webhooks/deliveries/{delivery}"): "webhooks",
    ("POST", "/v1/webhooks/deliveries/{delivery}/redeliver"): "webhooks",
    ("GET", "/v1/webhooks/keys"): "webhooks",
    ("POST", "/v1/webhooks/keys/rotate-secret"): "webhooks",
    ("GET", "/v1/openapi.json"): "jobs:submit",
    ("GET", "/v1/docs"): OPEN,
    ("GET", "/v1/docs.css"): OPEN,
    ("GET", "/v1/docs.js"): OPEN,
    ("GET", "/v1/headrace.js"): OPEN,
    ("GET", "/v1/queues"): "queues:read",
    ("GET", "/v1/queues/{queue}"): "queues:read",
    ("POST", "/v1/queues/{queue}/pause"): "queues:write",
    ("POST", "/v1/queues/{queue}/resume"): "queues:write",
    ("GET", "/v1/autoscale/{queue}"): "queues:read",
}
"""What each request needs: no key, any key, or a scope. A route that is not here fails a test."""

UNKNOWN = "00000000-0000-7000-8000-000000000000"


def requests_of(gateway: Gateway) -> Iterator[tuple[str, str]]:
    """Name every request that a gateway's routes serve."""
    for route in gateway.routes:
        if isinstance(route, WebSocketRoute):
            yield "WEBSOCKET", route.path
        else:
            assert isinstance(route, Route)
            for method in (route.methods or set()) - {"HEAD"}:
                yield method, route.path


def key_of(app: App, *scopes: str, **terms: Any) -> str:
    """Make a key, remember it, and return its token."""
    key, token = create(app.ids, app.clock.now(), scopes=scopes, **terms)
    app.engine.apply(key.put()).wait(5)
    return token


def place(path: str, job: str = UNKNOWN) -> str:
    """Fill the gaps of a path with things that are there."""
    unknown = {"endpoint": UNKNOWN, "delivery": UNKNOWN}
    return path.format(task="paint", job=job, queue="images", kind="not-found", **unknown)


def test_every_route_is_in_the_matrix() -> None:
    assert sorted(requests_of(Gateway(App("memory:")))) == sorted(MATRIX)


HTTP = [request for request in MATRIX if request[0] != "WEBSOCKET"]


@pytest.mark.parametrize(("method", "path"), HTTP)
def test_what_each_role_may_do(studio: App, method: str, path: str) -> None:
    need, gateway = MATRIX[method, path], Gateway(studio)

    def let_in(token: str | None) -> bool:
        told = Asker(gateway, token)(method, place(path), content=b"{}")
        assert told.status_code < 500
        assert token is not None or told.status_code != 403
        return told.status_code not in (401, 403)

    assert let_in(None) is (need == OPEN)
    for scope in SCOPES:
        expected = need in (OPEN, ANYONE, scope) or scope == "admin"
        assert let_in(key_of(studio, scope)) is expected, scope


@pytest.mark.parametrize(("method", "path"), HTTP)
def test_a_tenant_never_reaches_what_all_share(studio: App, method: str, path: str) -> None:
    if MATRIX[method, path] not in SHARED:
        return
    caller = Caller(name="k", tenant="acme", scopes=frozenset(SCOPES))

    async def admit(_: HTTPConnection) -> Caller:
        return caller

    gateway = Gateway(studio, admit=admit)
    assert Asker(gateway)(method, place(path), content=b"{}").status_code == 403


@pytest.mark.parametrize(("method", "path"), [one for one in HTTP if "{job}" in one[1]])
@pytest.mark.parametrize("whose", ["another tenant", "nobody", "a strange queue"])
def test_what_is_not_ones_own_does_not_exist(
    studio: App, method: str, path: str, whose: str
) -> None:
    paint = studio.registry.get("paint")
    tags = {"another tenant": ["tenant:other"], "nobody": []}.get(whose, ["tenant:acme"])
    queue = "posters" if whose == "a strange queue" else "images"
    foreign = paint.using(tags=tags, queue=queue).submit("cat").id
    job = paint.using(tags=["tenant:acme"]).submit("cat")
    job.cancel()  # the stream of a job that has ended has an end
    own = job.id
    terms = {"tenant": "acme", "queues": ("images",)}
    token = key_of(studio, "jobs:read", "jobs:write", "jobs:submit", **terms)
    ask = Asker(Gateway(studio), token)
    unknown = ask(method, place(path))
    told = ask(method, place(path, foreign))
    assert told.status_code == unknown.status_code == 404
    assert told.text.replace(foreign, UNKNOWN) == unknown.text
    assert ask(method, place(path, own)).status_code != 404


def test_nobody_learns_of_tasks_without_a_key(studio: App) -> None:
    stranger = Asker(Gateway(studio))
    for task in ("paint", "unheard-of"):
        told = stranger("POST", f"/v1/tasks/{task}", json={"what": "cat"})
        assert told.status_code == 401
        assert "paint" not in told.text


# In other applications ----------------------------------------------------------------------------


async def admit_session(connection: HTTPConnection) -> Caller:
    """Log in as the application around does it: here, by a cookie."""
    if connection.cookies.get("session") != "anna":
        raise Problem("unauthenticated")
    return Caller(name="anna", scopes=frozenset({"jobs:submit", "jobs:read"}))


def in_fastapi(gateway: Gateway) -> Any:
    """Mount a gateway in FastAPI."""
    site = FastAPI()
    site.mount("/work", gateway)

    @site.get("/")
    def home() -> str:
        return "home"

    return site


def in_litestar(gateway: Gateway) -> Any:
    """Mount a gateway in Litestar."""

    @get("/")
    async def home() -> str:
        return "home"

    @asgi("/work", is_mount=True, copy_scope=True)
    async def work(scope: Any, receive: Any, send: Any) -> None:
        # Litestar takes the place away from the path, ends it with a slash, and does not say so.
        path = "/work" + scope["path"].rstrip("/")
        await gateway(scope | {"root_path": "/work", "path": path}, receive, send)

    return Litestar([home, work])


def in_django(gateway: Gateway) -> Any:
    """Put a gateway beside Django's own ASGI application."""
    return Starlette(routes=[Mount("/work", gateway), Mount("/", get_asgi_application())])


urlpatterns: list[Any] = []  # Django's, which has no page of its own here


@pytest.fixture
def django() -> Iterator[None]:
    """Configure Django for one test: other tests have other settings, in the same process."""
    chosen = UserSettingsHolder(global_settings)
    chosen.ALLOWED_HOSTS, chosen.ROOT_URLCONF, chosen.LOGGING_CONFIG = ["*"], __name__, None
    before, django_settings._wrapped = django_settings._wrapped, chosen
    yield
    django_settings._wrapped = before


@pytest.mark.usefixtures("django")
@pytest.mark.parametrize("mount", [in_fastapi, in_litestar, in_django])
def test_mounted(studio: App, mount: Any) -> None:
    gateway = Gateway(studio, Settings(hosts=("*",)), admit=admit_session)
    site = mount(gateway)
    stranger = Asker(site, base="https://shop.example")
    refused = stranger("GET", "/work/v1/meta")
    assert (refused.status_code, refused.json()["type"]) == (
        401,
        "/work/v1/problems/unauthenticated",
    )
    assert stranger("GET", refused.json()["type"]).status_code == 200
    anna = Asker(site, base="https://shop.example", headers={"Cookie": "session=anna"})
    told = anna("POST", "/work/v1/tasks/paint", json={"what": "cat"})
    assert told.status_code == 202, told.text
    place = told.headers["Location"]
    assert place == told.json()["links"]["self"] == f"/work/v1/jobs/{told.json()['id']}"
    assert anna("GET", place).json()["links"]["self"] == place
    assert anna("GET", "/work/livez").status_code == 200
    assert anna("GET", "/work/v1/tasks").json()["tasks"][0]["links"]["call"] == (
        "/work/v1/tasks/paint"
    )
    assert anna("GET", "/livez").status_code == 404
