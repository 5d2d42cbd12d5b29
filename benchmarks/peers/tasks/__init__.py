"""One module a peer: a task that stamps, and `fill`, the fastest way that the peer submits.

Each is imported only in its peer's own environment, where HEADRACE_BENCH_ROOM names the database
that `benchmarks.peers.room` made for it.
"""
