"""A database of one's own on a server that may be somebody else's: one module a server.

They run in a peer's environment, which has the server's client. Only what they made, and know by
their own mark, do they ever remove.
"""
