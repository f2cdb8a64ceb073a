"""Devices: what an engine allocates for a network, in files and before there are any, and named chips.

Nothing here imports torch.
"""
