"""The worker: takes jobs from queues and runs them."""

from headrace.worker.exits import Exit
from headrace.worker.recipes import Pools
from headrace.worker.site import Site, Terms
from headrace.worker.worker import Worker

__all__ = ["Exit", "Pools", "Site", "Terms", "Worker"]
