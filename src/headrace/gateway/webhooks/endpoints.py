"""Endpoints: where webhooks are registered."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta, structs
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from headrace.errors import BlockedDestination, Conflict, NotDelivered
from headrace.gateway.caller import Caller
from headrace.gateway.desk import Desk
from headrace.gateway.handover import document
from headrace.gateway.handover.body import JSON, media_type, whole
from headrace.gateway.handover.options import explain
from headrace.gateway.portrait import MEDIA_TYPE, encode
from headrace.gateway.problem import Problem, invalid, retry_after
from headrace.gateway.webhooks.registration import (
    Signature,
    applied,
    changed,
    knows,
    missing,
    terms,
    told,
)
from headrace.json_form import pointer
from headrace.webhooks import address, destination, event, signature
from headrace.webhooks import endpoints as store
from headrace.webhooks.endpoint import Endpoint, SigningKey, rotated
from headrace.webhooks.envelope import ENDPOINT_TAG, Content, envelope
from headrace.webhooks.lookup import Lookup
from headrace.write import Send

MERGE_PATCH = "application/merge-patch+json"

_SCOPE = "webhooks"
_MOST = 100
_ONE = "/v1/webhooks/endpoints/{endpoint}"


class Rotation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a secret is changed.

    Attributes:
        overlap: seconds for which the old one signs as well.
    """

    overlap: Annotated[float, Meta(ge=0, le=30 * 86_400)] = 86_400.0


class Endpoints:
    """Registers endpoints.

    Args:
        desk: serves.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._lookup = Lookup(address.networks(desk.app.config.webhook_allow))
        self.routes = [
            Route("/v1/webhooks/endpoints", self._register, methods=["POST"]),
            Route("/v1/webhooks/endpoints", self._list, methods=["GET"]),
            Route(_ONE, self._show, methods=["GET"]),
            Route(_ONE, self._change, methods=["PATCH"]),
            Route(_ONE, self._remove, methods=["DELETE"]),
            Route(f"{_ONE}/rotate-secret", self._rotate, methods=["POST"]),
            Route(f"{_ONE}/ping", self._ping, methods=["POST"]),
        ]

    async def _register(self, request: Request) -> Response:
        """Register an endpoint; the answer is the only place where its secret is shown."""
        caller = await self._desk.caller(request, _SCOPE)
        content = await self._body(request, JSON)
        kind: Signature = "v1"
        if isinstance(content, dict) and "signature" in content:
            kind = _read(content.pop("signature"), Signature, "/signature")
        wanted = terms(content)
        url = await self._checked(wanted.url)
        registered = await self._store()
        if sum(each.tenant == caller.tenant for each, _ in await registered.all()) >= _MOST:
            raise Problem("conflict", f"there are {_MOST} endpoints already: remove one first")
        app = self._desk.app
        fresh = Endpoint(
            id=app.ids.job_id(),
            url=url,
            keys=(SigningKey(self._new_secret(kind)),),
            created_at=app.clock.now(),
            tenant=caller.tenant,
            bounds=caller.queues,
        )
        endpoint = applied(fresh, structs.replace(wanted, url=url))
        version = await registered.put(endpoint, 0)
        base = request.scope["root_path"]
        shown = told(endpoint, base, secret=_shown(endpoint))
        headers = {"Location": f"{base}/v1/webhooks/endpoints/{endpoint.id}"}
        return _response(shown, 201, version, headers)

    async def _list(self, request: Request) -> Response:
        """List the caller's endpoints."""
        caller = await self._desk.caller(request, _SCOPE)
        base = request.scope["root_path"]
        found = await (await self._store()).all()
        listed = [told(endpoint, base) for endpoint, _ in found if knows(caller, endpoint)]
        return Response(encode({"endpoints": listed}), 200, media_type=MEDIA_TYPE)

    async def _show(self, request: Request) -> Response:
        """Tell of one endpoint."""
        endpoint, version = await self._found(request)
        return _response(told(endpoint, request.scope["root_path"]), 200, version)

    async def _change(self, request: Request) -> Response:
        """Change an endpoint by a merge patch (RFC 7396)."""
        endpoint, version = await self._found(request)
        patch = await self._body(request, JSON, MERGE_PATCH)
        wanted = changed(endpoint, patch)
        url = endpoint.url if wanted.url == endpoint.url else await self._checked(wanted.url)
        after = applied(endpoint, structs.replace(wanted, url=url))
        version = await self._put(request, after, version)
        return _response(told(after, request.scope["root_path"]), 200, version)

    async def _remove(self, request: Request) -> Response:
        """Remove an endpoint; what is on its way to it is cancelled."""
        endpoint, version = await self._found(request)
        try:
            await (await self._store()).delete(endpoint.id, version)
        except Conflict:
            raise _raced(request) from None
        return Response(status_code=204)

    async def _rotate(self, request: Request) -> Response:
        """Make a new secret; both sign until the old one's time is over."""
        endpoint, version = await self._found(request)
        rotation = await self._rotation(request)
        app = self._desk.app
        kind: Signature = "v1a" if endpoint.keys[0].text.startswith("whsk_") else "v1"
        keys = rotated(endpoint.keys, self._new_secret(kind), app.clock.now(), rotation.overlap)
        after = structs.replace(endpoint, keys=keys)
        version = await self._put(request, after, version)
        shown = told(after, request.scope["root_path"], secret=_shown(after))
        return _response(shown, 200, version)

    async def _ping(self, request: Request) -> Response:
        """Send an event of the type `headrace.ping`, as a delivery like any other."""
        endpoint, _ = await self._found(request)
        if not endpoint.enabled:
            raise Problem("conflict", "the endpoint is switched off: enable it first")
        app = self._desk.app
        told_event = event.ping(endpoint.id, app.ids.job_id(), app.clock.now())
        content = Content(event=told_event.id, body=told_event.body, endpoint=endpoint.id)
        owner = () if endpoint.tenant is None else (f"{event.TENANT_TAG}{endpoint.tenant}",)
        tags = (f"{ENDPOINT_TAG}{endpoint.id}", *owner)
        message = envelope(content, app.ids.job_id(), tags)
        await self._desk.answer((await self._desk.engine()).apply(Send((message,))))
        base = request.scope["root_path"]
        headers = {"Location": f"{base}/v1/webhooks/deliveries/{message.id}"} | retry_after(1)
        return Response(encode({"id": message.id}), 202, headers, MEDIA_TYPE)

    async def _found(self, request: Request) -> tuple[Endpoint, int]:
        """Return the endpoint that a request is about, with its version.

        Raises:
            Problem: it is not there, or somebody else's (404); it is another version than the
                request is about (412).
        """
        caller = await self._desk.caller(request, _SCOPE)
        endpoint, version = await find(self._desk, caller, request.path_params["endpoint"])
        wanted = request.headers.get("if-match")
        if wanted is not None and wanted != "*" and _etag(version) not in _tags(wanted):
            raise Problem("precondition-failed", "the endpoint was changed meanwhile: read it anew")
        return endpoint, version

    async def _put(self, request: Request, endpoint: Endpoint, version: int) -> int:
        try:
            return await (await self._store()).put(endpoint, version)
        except Conflict:
            raise _raced(request) from None

    async def _checked(self, url: str) -> str:
        """Return a URL, written in one way, if webhooks may be sent there."""
        try:
            there = destination.read(url)
            await self._lookup.find(there)
        except BlockedDestination as error:
            raise invalid([("/url", str(error))]) from None
        except NotDelivered:
            pass  # a name may get its address later; every attempt looks again
        return there.url

    def _new_secret(self, kind: Signature) -> str:
        ids = self._desk.app.ids
        return signature.new_secret(ids) if kind == "v1" else signature.new_private_key(ids)

    async def _rotation(self, request: Request) -> Rotation:
        if request.headers.get("content-length", "0") == "0":
            return Rotation()
        rotation: Rotation = _read(await self._body(request, JSON), Rotation, "")
        return rotation

    async def _body(self, request: Request, *types: str) -> Any:
        head = dict(request.scope["headers"])
        media_type(head, *types)
        settings = self._desk.settings
        return document.read(await whole(request, head, settings), settings)

    async def _store(self) -> store.Endpoints:
        return store.Endpoints(await self._desk.engine(), self._desk.app.config.deadline)


async def find(desk: Desk, caller: Caller, endpoint_id: str) -> tuple[Endpoint, int]:
    """Return an endpoint and its version.

    Raises:
        Problem: it is not there, or somebody else's (404).
    """
    registered = store.Endpoints(await desk.engine(), desk.app.config.deadline)
    found = await registered.get(endpoint_id)
    if found is None or not knows(caller, found[0]):
        raise missing()
    return found


def _read(content: object, kind: Any, place: str) -> Any:
    try:
        return msgspec.convert(content, kind)
    except msgspec.ValidationError as error:
        names = getattr(kind, "__struct_fields__", ())
        raise invalid([(place + pointer(error), explain(error, names))]) from None


def _shown(endpoint: Endpoint) -> str | None:
    """Return the secret that its owner has to know: of a pair of keys, none."""
    current = endpoint.keys[0].text
    return None if current.startswith("whsk_") else current


def _response(
    content: object, status: int, version: int, headers: dict[str, str] | None = None
) -> Response:
    fields = {"ETag": _etag(version), "Cache-Control": "no-store", **(headers or {})}
    return Response(encode(content), status, fields, MEDIA_TYPE)


def _etag(version: int) -> str:
    return f'"{version}"'


def _tags(field: str) -> list[str]:
    return [tag.strip() for tag in field.split(",")]


def _raced(request: Request) -> Problem:
    kind = "precondition-failed" if "if-match" in request.headers else "conflict"
    return Problem(kind, "the endpoint was changed meanwhile: read it anew")
