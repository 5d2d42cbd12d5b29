"""Webhooks: whoever asked is told by HTTP how a job ended. And how a receiver checks that."""

from headrace.webhooks.signature import verify
from headrace.webhooks.webhooks import Webhooks

__all__ = ["Webhooks", "verify"]
