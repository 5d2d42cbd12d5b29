"""Node: one process that works. What it starts is the architecture: a worker and a dispatcher."""

from __future__ import annotations

import contextlib
import logging
import threading
from queue import SimpleQueue

import msgspec

from headrace.app import App
from headrace.child import Channel, Child
from headrace.config import Config
from headrace.errors import ConfigError, HeadraceError
from headrace.inbox import Inbox
from headrace.observe.wiring import wire
from headrace.order import ENTRY, HURRY, RETIRING, Serve, Work, encode
from headrace.pools.processes import ProcessPool
from headrace.pools.tasks import TaskPool
from headrace.pools.threads import ThreadPool
from headrace.signals import STOP_SIGNALS
from headrace.webhooks import Webhooks
from headrace.webhooks.delivery import Deliveries
from headrace.webhooks.dispatcher import Dispatcher
from headrace.webhooks.envelope import QUEUE
from headrace.worker import Exit, Pools, Site, Terms, Worker
from headrace.worker.run import Run

_log = logging.getLogger("headrace")

_HURRY, _OVER = object(), object()


class Node:
    """Runs an App's tasks in this process: `start` and `stop` it, or let it `run` to its end.

    Args:
        app: declares the tasks.
        work: what to do, if not everything by the App's own settings.

    Raises:
        ConfigError: a setting is unknown or of the wrong kind.
    """

    def __init__(self, app: App, work: Work | None = None) -> None:
        self._app = app
        self._work = work or Work()
        self._config = _changed(app.config, self._work)
        self._inbox = Inbox()
        self._worker: Worker | None = None
        self._dispatcher: Dispatcher | None = None
        Webhooks(app)

    @property
    def worker(self) -> Worker | None:
        """The worker, while the node is started."""
        return self._worker

    def start(self) -> None:
        """Open the engine and begin to take jobs. Idempotent.

        Raises:
            ConfigError: a task has `process=True`, and it is not known where to import it from.
        """
        if self._worker is None:
            wire(self._app)
            self._worker = self._make_worker()
            self._dispatcher = Dispatcher(self._app, self._app.engine)
            self._worker.start()
            self._dispatcher.start()

    def stop(self, *, exiting: bool = False) -> bool:
        """Finish what runs, hand back the rest, and leave the App open. Idempotent.

        Args:
            exiting: whether the process ends right after this; see `Worker.stop`.

        Returns:
            Whether every run has ended.
        """
        worker, self._worker = self._worker, None
        dispatcher, self._dispatcher = self._dispatcher, None
        if dispatcher is not None:
            dispatcher.stop()
        return worker.stop(exiting=exiting) if worker is not None else True

    def run(self, supervisor: Channel | None = None) -> tuple[Exit, bool]:
        """Work until a signal, or until the worker ends by itself; then stop and close the App.

        SIGTERM or SIGINT (Ctrl-C) begins an orderly stop; a second one hurries it. It has to be
        called from the main thread, where Python handles signals.

        Args:
            supervisor: who may end and hurry it as well, ends it by going away, and is told when
                it retires. Then a second signal changes nothing: who stops a service often sends
                one to the supervisor and another to each child.

        Returns:
            Why it ended, and whether every run has ended, too.
        """
        with self._inbox.signals(*STOP_SIGNALS):
            self.start()
            if supervisor is not None:
                listener = threading.Thread(target=self._listen, args=(supervisor,), daemon=True)
                listener.start()
            code = self._wait_for_end()
            if supervisor is not None and code in (Exit.RECYCLED, Exit.STUCK):
                with contextlib.suppress(OSError):  # it is gone: nobody replaces us
                    supervisor.send(RETIRING)
            everything_ended = self._finish(heed_signals=supervisor is None)
        return code, everything_ended

    def _wait_for_end(self) -> Exit:
        while (event := self._inbox.get()) is _HURRY:
            pass  # nothing is to be hurried yet
        return event if isinstance(event, Exit) else Exit.CLEAN

    def _finish(self, *, heed_signals: bool) -> bool:
        """Stop in another thread, while this one goes on to notice what happens."""
        worker, outcome = self._worker, SimpleQueue[bool]()
        hurrying = (_HURRY, Exit.ENGINE) + (STOP_SIGNALS if heed_signals else ())

        def stop() -> None:
            try:
                outcome.put(self.stop(exiting=True))
                self._app.close()
            except HeadraceError as error:
                _log.error("the engine was not closed in order: %s", error)
            finally:
                self._inbox.put(_OVER)

        stopper = threading.Thread(target=stop)
        stopper.start()
        while (event := self._inbox.get()) is not _OVER:
            if worker is not None and event in hurrying:
                worker.hurry()
        stopper.join()
        return not outcome.empty() and outcome.get()

    def _listen(self, supervisor: Channel) -> None:
        while (message := supervisor.receive()) is not None:
            self._inbox.put(_HURRY if message == HURRY else Exit.CLEAN)
        self._inbox.put(Exit.CLEAN)

    def _make_worker(self) -> Worker:
        app, config, work = self._app, self._config, self._work
        site = Site(
            engine=app.engine,
            terms=Terms(
                queues=work.queues
                or tuple(sorted({QUEUE, *(t.options.queue for t in app.registry)})),
                holder=work.holder or app.ids.nonce(),
                lease=config.lease,
                grace=config.grace,
                poll=config.poll,
                max_result=config.max_result,
                deadline=config.deadline,
                most_jobs=work.most_jobs,
                most_mib=work.most_mib,
            ),
            clock=app.clock,
            ids=app.ids,
            telemetry=app.telemetry,
            ended=self._inbox.put,
        )
        registry = Deliveries(app).registry()
        return Worker(registry, app.intake, self._make_pools(), site, app.middleware)

    def _make_pools(self) -> Pools:
        config, target = self._config, self._work.target
        processes = None
        if target is not None:
            processes = ProcessPool[Run](config.children, lambda: _callee(target))
        return Pools(TaskPool(config.concurrency), ThreadPool(config.threads), processes)


def _callee(target: str) -> Child:
    child = Child(ENTRY)
    child.channel.send(encode(Serve(target)))
    return child


def _changed(config: Config, work: Work) -> Config:
    for name in work.settings:
        if name not in Config.__struct_fields__:
            raise ConfigError(f"the worker's settings: there is no {name!r}")
    try:
        return msgspec.convert({**msgspec.to_builtins(config), **work.settings}, Config)
    except msgspec.ValidationError as error:
        raise ConfigError(f"the worker's settings: {error}") from None
