"""Figures: Headrace beside the raw ceiling of SQLite and beside other task queues.

`python -m benchmarks` prints ours and the ceiling, `python -m benchmarks.peers` adds the peers.
Compare figures of one run only; nothing here asserts a speed, so a slow machine fails nothing.
"""
