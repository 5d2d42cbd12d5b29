"""Watching: whoever waits for jobs is told: long polls, event streams and WebSockets."""
