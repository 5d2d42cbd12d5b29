"""Handing over: calls are checked, accepted durably, and answered with 202."""
