"""Client: hands work over to a gateway, and waits for what becomes of it; for blocking programs."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
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


class Client:
    """Talks to a gateway. It may be used by many threads, and is a context manager.

    What fails for a while is tried again for `patience` seconds, at the pace that the gateway
    asks for; submits carry an Idempotency-Key of their own, so that each takes effect once.

    Args:
        url: where the gateway is, such as `http://localhost:8000`.
        key: an API key.
        patience: seconds.
        settings: further arguments of `httpx2.Client`, such as `verify` or `transport`.
    """

    def __init__(
        self, url: str, *, key: str | None = None, patience: float = 30.0, **settings: Any
    ) -> None:
        self._http = httpx2.Client(**wire_settings(url, key, settings))
        self._talk = Talk(SystemClock(), Ids(), patience)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections. Idempotent."""
        self._http.close()

    def submit(
        self,
        task: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        idempotency_key: str | None = None,
        **options: Any,
    ) -> Snapshot:
        """Hand a call over; it is durable when this returns.

        Args:
            task: the task's name.
            arguments: by parameter name; what JSON can say.
            idempotency_key: names the submit, so that a program that was restarted can repeat it.
            options: `queue`, `delay`, `priority` and the others of the gateway; `callback`.

        Raises:
            UnknownTask: there is no such task.
            InvalidArguments: the arguments or the options do not fit.
            DuplicateJob: a live job holds the unique key.
            QueueFull: the queue is full, and stayed so.
            GatewayError: the gateway does not answer, or says no.
        """
        return self._run(self._talk.submit(task, arguments or {}, options, idempotency_key))

    def submit_many(
        self, calls: Sequence[Mapping[str, Any]], *, idempotency_key: str | None = None
    ) -> tuple[Snapshot, ...]:
        """Hand many calls over, all or none; with the errors of `submit`.

        Args:
            calls: each with `task`, `arguments` and, if need be, `options`.
            idempotency_key: as for `submit`.
        """
        return self._run(self._talk.submit_many(calls, idempotency_key))

    def job(self, job: Snapshot | str) -> Snapshot:
        """Return a job, or its id, as it is now.

        Raises:
            JobNotFound: there is no such job.
        """
        return self._run(self._talk.job(_id(job)))

    def wait(self, job: Snapshot | str, timeout: float | None = None) -> Snapshot:
        """Wait until a job is finished, whatever became of it, and return it.

        Raises:
            ResultTimeout: it was not finished within `timeout` seconds.
            JobNotFound: there is no such job.
        """
        return self._run(self._talk.wait(_id(job), timeout))

    def result(self, job: Snapshot | str, timeout: float | None = None) -> Any:
        """Wait for a job, and return its result as plain data.

        Raises:
            JobDead: it will not be tried again by itself.
            JobCancelled: it was cancelled.
            ResultTimeout: it was not finished within `timeout` seconds.
            JobNotFound: there is no such job.
        """
        return self._run(self._talk.result(_id(job), timeout))

    def events(self, job: Snapshot | str) -> Iterator[Event]:
        """Yield what happens to a job until its end, over as many connections as it takes.

        Raises:
            JobNotFound: there is no such job.
            GatewayError: the gateway does not answer, or says no.
        """
        stream = self._talk.events(_id(job))
        while not stream.ended:
            try:
                with self._http.stream(**keywords(stream.request())) as response:
                    if response.is_success:
                        for chunk in response.iter_bytes():
                            yield from stream.feed(chunk)
                    rest = b"" if response.is_success else response.read()
                    answer = answered(response, rest)
            except httpx2.TransportError as error:
                answer = lost(error)
            if not stream.ended:
                time.sleep(stream.pause(answer))

    def jobs(self, **where: Any) -> Iterator[Snapshot]:
        """Yield jobs, newest first: `client.jobs(state="dead", queue="mail")`."""
        token: str | None = None
        while True:
            page = self._run(self._talk.page(where, token))
            yield from page.jobs
            if (token := page.next_page_token) is None:
                return

    def cancel(self, job: Snapshot | str) -> Snapshot:
        """Cancel a job, or ask its worker to if it runs.

        Raises:
            GatewayError: it has ended.
            JobNotFound: there is no such job.
        """
        return self._run(self._talk.change(_id(job), "cancel"))

    def retry(self, job: Snapshot | str) -> Snapshot:
        """Make a scheduled job due now, or put a dead one back; with the errors of `cancel`."""
        return self._run(self._talk.change(_id(job), "retry"))

    def _run(self, plan: Plan[T]) -> T:
        answer: Answer | None = None
        try:
            while True:
                answer = self._do(plan.send(answer))
        except StopIteration as end:
            outcome: T = end.value
            return outcome

    def _do(self, step: Request | Pause) -> Answer | None:
        if isinstance(step, Pause):
            time.sleep(step.seconds)
            return None
        try:
            response = self._http.request(**keywords(step))
        except httpx2.TransportError as error:
            return lost(error)
        return answered(response, response.content)


def _id(job: Snapshot | str) -> str:
    return job if isinstance(job, str) else job.id
