"""Webhooks, for their owners: endpoints, deliveries and keys."""
