"""The door: who is let in: names, web pages, API keys, and how many at a time."""
