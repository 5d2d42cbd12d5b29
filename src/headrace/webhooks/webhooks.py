"""Webhooks: makes an App tell how its jobs end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from headrace.app import App
from headrace.engine import Engine
from headrace.message import Message
from headrace.webhooks import address, destination, interest
from headrace.webhooks.directory import Directory
from headrace.write import Put


class Webhooks:
    """Notes beside each submit of an App that somebody wants to know how the job ends.

    Gateways and workers do so by themselves. A program that submits jobs in Python makes one beside
    its App, and then registered endpoints are told of its jobs, too:

        app = App()
        webhooks = Webhooks(app)

        report.using(headers=webhooks.callback("https://example.com/done")).submit("april")

    An App has one at most: a second one is the first.

    Args:
        app: whose jobs are told of.

    Raises:
        ConfigError: the setting `webhook_allow` holds something else than networks.
    """

    def __new__(cls, app: App) -> Self:
        """Return the App's, if it has one."""
        found = (each for each in app.companions if isinstance(each, cls))
        return next(found, None) or super().__new__(cls)

    def __init__(self, app: App) -> None:
        if self in app.companions:
            return
        self._networks = address.networks(app.config.webhook_allow)
        self._directory = Directory(app.clock)
        app.companions.append(self)

    def callback(self, url: str) -> dict[str, str]:
        """Return headers for a job that say where to tell how it ended.

        Args:
            url: is sent a webhook when the job has succeeded, is dead or was cancelled.

        Raises:
            BlockedDestination: nothing may be sent there.
        """
        there = destination.read(url)
        there.precheck(self._networks)
        return {interest.CALLBACK: there.url}

    def __call__(self, engine: Engine, messages: Sequence[Message]) -> list[Put]:
        """Return what is to be written beside new jobs."""
        endpoints = self._directory.look(engine)
        return [
            interest.of(message)
            for message in messages
            if interest.CALLBACK in message.headers
            or endpoints is None
            or any(e.may_want(message.task, message.queue, message.tags) for e in endpoints)
        ]
