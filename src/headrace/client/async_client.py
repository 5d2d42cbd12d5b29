"""AsyncClient: the twin of `Client`, for programs of asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Self, TypeVar

import httpx2

from headrace.client.events import Event
from headrace.client.exchange import Answer, Pause, Plan, Request
from headrace.client.snapshot import Snapshot
from headrace.client.talk import Talk
from headrace.client.wire import answered, keywords, lost, wire_settings
from headrace.clock import SystemClock
from headrace.ids import Ids

T = TypeVar("T")


class AsyncClient:
    """Talks to a gateway, as `Client` does, with the same arguments, answers and errors.

    Args:
        url: where the gateway is, such as `http://localhost:8000`.
        key: an API key.
        patience: seconds.
        settings: further arguments of `httpx2.AsyncClient`, such as `verify` or `transport`.
    """

    def __init__(
        self, url: str, *, key: str | None = None, patience: float = 30.0, **settings: Any
    ) -> None:
        self._http = httpx2.AsyncClient(**wire_settings(url, key, settings))
        self._talk = Talk(SystemClock(), Ids(), patience)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """See `Client.close`."""
        await self._http.aclose()

    async def submit(
        self,
        task: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        idempotency_key: str | None = None,
        **options: Any,
    ) -> Snapshot:
        """See `Client.submit`."""
        return await self._run(self._talk.submit(task, arguments or {}, options, idempotency_key))

    async def submit_many(
        self, calls: Sequence[Mapping[str, Any]], *, idempotency_key: str | None = None
    ) -> tuple[Snapshot, ...]:
        """See `Client.submit_many`."""
        return await self._run(self._talk.submit_many(calls, idempotency_key))

    async def job(self, job: Snapshot | str) -> Snapshot:
        """See `Client.job`."""
        return await self._run(self._talk.job(_id(job)))

    async def wait(self, job: Snapshot | str, timeout: float | None = None) -> Snapshot:  # noqa: ASYNC109 - as `Client`
        """See `Client.wait`."""
        return await self._run(self._talk.wait(_id(job), timeout))

    async def result(self, job: Snapshot | str, timeout: float | None = None) -> Any:  # noqa: ASYNC109 - as `Client`
        """See `Client.result`."""
        return await self._run(self._talk.result(_id(job), timeout))

    async def events(self, job: Snapshot | str) -> AsyncIterator[Event]:
        """See `Client.events`."""
        stream = self._talk.events(_id(job))
        while not stream.ended:
            try:
                async with self._http.stream(**keywords(stream.request())) as response:
                    if response.is_success:
                        async for chunk in response.aiter_bytes():
                            for event in stream.feed(chunk):
                                yield event
                    rest = b"" if response.is_success else await response.aread()
                    answer = answered(response, rest)
            except httpx2.TransportError as error:
                answer = lost(error)
            if not stream.ended:
                await asyncio.sleep(stream.pause(answer))

    async def jobs(self, **where: Any) -> AsyncIterator[Snapshot]:
        """See `Client.jobs`."""
        token: str | None = None
        while True:
            page = await self._run(self._talk.page(where, token))
            for job in page.jobs:
                yield job
            if (token := page.next_page_token) is None:
                return

    async def cancel(self, job: Snapshot | str) -> Snapshot:
        """See `Client.cancel`."""
        return await self._run(self._talk.change(_id(job), "cancel"))

    async def retry(self, job: Snapshot | str) -> Snapshot:
        """See `Client.retry`."""
        return await self._run(self._talk.change(_id(job), "retry"))

    async def _run(self, plan: Plan[T]) -> T:
        answer: Answer | None = None
        try:
            while True:
                answer = await self._do(plan.send(answer))
        except StopIteration as end:
            outcome: T = end.value
            return outcome

    async def _do(self, step: Request | Pause) -> Answer | None:
        if isinstance(step, Pause):
            await asyncio.sleep(step.seconds)
            return None
        try:
            response = await self._http.request(**keywords(step))
        except httpx2.TransportError as error:
            return lost(error)
        return answered(response, response.content)


def _id(job: Snapshot | str) -> str:
    return job if isinstance(job, str) else job.id
