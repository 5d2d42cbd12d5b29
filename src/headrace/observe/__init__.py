"""Observe: what happens, told to people and to the tools they have."""
