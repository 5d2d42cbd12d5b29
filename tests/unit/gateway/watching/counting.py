"""Waiters that write down what they are told, and an engine that counts what it is asked."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

from headrace.app import App
from headrace.engine import Engine
from headrace.errors import EngineBusy
from headrace.gateway.desk import Desk
from headrace.gateway.settings import Settings
from headrace.gateway.watching.channel import Channel
from headrace.gateway.watching.feed import Feed
from headrace.gateway.watching.sight import Sight
from headrace.reply import Reply


class Notebook:
    """A waiter that writes everything down."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Sight | None]] = []
        self.missed: list[Channel] = []
        self.stopped = False

    def tell(self, job_id: str, sight: Sight | None) -> None:
        self.told.append((job_id, sight))

    def miss(self, channel: Channel) -> None:
        self.missed.append(channel)

    def stop(self) -> None:
        self.stopped = True

    @property
    def states(self) -> list[str]:
        """The states it was told of, each once in a row."""
        states = ["gone" if sight is None else str(sight.state) for _, sight in self.told]
        return [s for at, s in enumerate(states) if at == 0 or states[at - 1] != s]


class Counting:
    """An engine that counts its calls, and may fail, or give no hints."""

    def __init__(self, engine: Engine, *, hints: bool = True) -> None:
        self._engine = engine
        self._hints = hints
        self.calls: Counter[str] = Counter()
        self.failing = 0

    def watch(self, topic: Any, hint: Any) -> Callable[[], None]:
        return self._engine.watch(topic, hint) if self._hints else lambda: None

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._engine, name)

        def call(*args: Any, **more: Any) -> Any:
            self.calls[name] += 1
            if self.failing > 0:
                self.failing -= 1
                return Reply.failed(EngineBusy("busy"))
            return method(*args, **more)

        return call


class CountingDesk(Desk):
    """A desk whose engine counts."""

    def __init__(self, app: App, *, hints: bool = True, **settings: Any) -> None:
        async def admit(_: Any) -> Any:
            raise AssertionError

        super().__init__(app, Settings(anonymous=True, **settings), admit)
        self._hints = hints
        self.counting: Counting | None = None

    async def engine(self) -> Any:
        """Return the engine, wrapped."""
        if self.counting is None:
            self.counting = Counting(await super().engine(), hints=self._hints)
        return self.counting


async def happens(condition: Callable[[], object], what: str = "it") -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - it comes soon
            await asyncio.sleep(0.002)
    assert condition(), what


__all__ = ["Counting", "CountingDesk", "Feed", "Notebook", "happens"]
