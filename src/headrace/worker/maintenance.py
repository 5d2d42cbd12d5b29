"""Maintenance: lets the engine reap expired leases, end expired jobs and prune finished ones."""

from __future__ import annotations

import logging

from headrace.errors import EngineBusy, StorageFull
from headrace.service import Service
from headrace.worker.site import Site

_log = logging.getLogger("headrace")

_STEP_SECONDS = 1.0


class Maintenance:
    """Takes a small step about every second; any number of workers may do so.

    Args:
        site: what it shares with the other parts of the worker.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._service = Service(
            "headrace-maintenance", self._step, _STEP_SECONDS, site.ids.fraction
        )

    def start(self) -> None:
        """Begin to take steps."""
        self._service.start()

    def stop(self) -> None:
        """Take no more steps."""
        self._service.stop()

    def _step(self) -> float | None:
        try:
            done = self._site.engine.maintain().wait(self._site.terms.deadline)
        except (EngineBusy, StorageFull) as error:
            _log.info("no maintenance now: %s", error)
            return None
        except Exception as error:  # noqa: BLE001 - whatever it is, this worker ends
            return self._site.engine_failed(error)
        return 0.0 if done.more else None
