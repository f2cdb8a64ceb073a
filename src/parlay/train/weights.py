"""The final weights of a run on disk: one safetensors file that anybody can read, with a checksum inside it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from parlay.documents import write_atomically
from parlay.errors import InputError
from parlay.extras import Needs

with Needs("weights", extra="train"):
    from safetensors import SafetensorError
    from safetensors.torch import load, save
    from torch import Tensor, nn

__all__ = ["STARTS", "load_weights", "read_weights", "save_weights"]

STARTS = "start"
"""What the file of weights that no run left behind says of its run."""


def save_weights(path: Path, module: nn.Module, *, run: str) -> str:
    """Write all parameters and buffers, whole or not at all; the folder is made.

    Args:
        path: of the file.
        module: what was trained.
        run: what identifies the run, kept in the file.

    Returns:
        The SHA-256 that is kept in the file: of the tensors serialised without anything else.

    Raises:
        InputError: when it cannot be written.
    """
    tensors = {name: t.detach().cpu().contiguous().clone() for name, t in module.state_dict().items()}
    digest = hashlib.sha256(save(tensors)).hexdigest()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError("weights", given=str(path), allowed="a folder that can be made", remedy=str(error)) from None
    facts = json.dumps({"run": run, "sha256": digest})  # one entry: safetensors gives several no fixed order
    write_atomically(path, save(tensors, metadata={"parlay": facts}))
    return digest


def read_weights(path: Path, *, run: str) -> tuple[dict[str, Tensor], str] | None:
    """The tensors and their checksum; None where there is no file, or one that is damaged or of another run."""
    try:
        content = path.read_bytes()
        tensors = load(content)
        size = int.from_bytes(content[:8], "little")
        facts = json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["parlay"])
        run_there, digest_there = facts["run"], facts["sha256"]
    except (OSError, SafetensorError, ValueError, KeyError, TypeError):
        return None
    digest = hashlib.sha256(save(tensors)).hexdigest()
    return (tensors, digest) if (run_there, digest_there) == (run, digest) else None


def load_weights(module: nn.Module, tensors: dict[str, Tensor]) -> nn.Module:
    """The module with these tensors in the place of its own, in evaluation mode.

    >>> import torch
    >>> layer = nn.Linear(2, 1)
    >>> load_weights(layer, {"weight": torch.ones(1, 2), "bias": torch.zeros(1)})(torch.ones(2)).tolist()
    [2.0]
    """
    module.load_state_dict(tensors)
    return module.eval()
