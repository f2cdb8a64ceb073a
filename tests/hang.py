"""How long a test waits for another process before it calls that a hang: far beyond what a busy machine takes."""

HANG = 900.0
"""Seconds. What ends does so in seconds; under load one test of 1,758 ended at a limit of 60."""
