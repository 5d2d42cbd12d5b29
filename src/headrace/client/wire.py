"""Wire: from the client's values to those of the HTTP library, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx2

from headrace.client.exchange import Answer, Request
from headrace.errors import ConfigError


def wire_settings(url: str, key: str | None, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of an HTTP client.

    Args:
        url: where the gateway is.
        key: an API key; goes into every request.
        settings: what the program says itself.

    Raises:
        ConfigError: the URL is none of HTTP.
    """
    if not url.startswith(("http://", "https://")):
        raise ConfigError(f"{url!r}: say where the gateway is, such as http://localhost:8000")
    headers = dict(settings.get("headers") or {})
    if key is not None:
        headers["Authorization"] = f"Bearer {key}"
    return {**settings, "base_url": url.rstrip("/"), "headers": headers}


def keywords(request: Request) -> dict[str, Any]:
    """Return a request as keyword arguments of the library."""
    return {
        "method": request.method,
        "url": request.path,
        "params": request.query or None,
        "headers": dict(request.headers),
        "content": request.body,
        "timeout": request.patience,
    }


def answered(response: httpx2.Response, body: bytes = b"") -> Answer:
    """Return what came back, with the part of the body that was read."""
    return Answer(response.status_code, dict(response.headers), body)


def lost(error: httpx2.TransportError) -> Answer:
    """Return what stands for nothing having come back."""
    return Answer(0, trouble=str(error) or type(error).__name__)
