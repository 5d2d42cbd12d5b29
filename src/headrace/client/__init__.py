"""The client: for programs that hand work over to a gateway, wherever it runs."""

from headrace.client.async_client import AsyncClient
from headrace.client.client import Client
from headrace.client.events import Event
from headrace.client.snapshot import Snapshot

__all__ = ["AsyncClient", "Client", "Event", "Snapshot"]
