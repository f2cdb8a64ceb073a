"""Devices: what an engine allocates for a network, in files and before there are any, and named chips.

Nothing here imports torch.
"""

__all__ = ["ENGINES"]

ENGINES = ("live", "tflm")
"""What a limit on RAM counts: activations that live at once, or all that LiteRT for Microcontrollers allocates."""
