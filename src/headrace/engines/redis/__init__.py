"""The Redis engine: many machines, one Redis or Valkey server."""

from headrace.engines.redis.engine import RedisEngine

__all__ = ["RedisEngine"]
