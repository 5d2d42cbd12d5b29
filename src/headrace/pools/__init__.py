"""Where runs happen: on an event loop, on threads, in child processes."""
