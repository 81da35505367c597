"""The features of published FIDs: an Inception network trained on photographs.

The project does not ship its weights (96 MB). Who has them puts the file into ``checkpoints/`` of
the data folder and installs torch-fidelity; then FIDs are those of torch-fidelity and torchmetrics.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gmmtf.images.files import data_root, read_pinned
from gmmtf.images.mnist import to_bytes

WEIGHTS_NAME = "weights-inception-2015-12-05-6726825d.pth"
WEIGHTS_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"


class InceptionFeatures(nn.Module):
    """The 2048 features of an Inception network that sees digits as grey pictures.

    Parameters
    ----------
    network
        Takes bytes ``[batch, 3, height, width]`` and returns features ``[batch, 2048]``.
    """

    num_features = 2048

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def features(self, images: Tensor) -> Tensor:
        """Return the features ``[batch, 2048]`` of pixels in [-1, 1], ``[batch, 28, 28]``."""
        found: Tensor = self.network(to_bytes(images)[:, None].expand(-1, 3, -1, -1))
        return found


def load_inception(
    root: str | Path | None = None, device: torch.device | str = "cpu"
) -> InceptionFeatures:
    """Load the Inception network from the user's own copy of its weights.

    Parameters
    ----------
    root
        Folder that holds ``checkpoints/``; see :func:`gmmtf.images.files.data_root`.
    device
        Where to put it.

    Raises
    ------
    DataError
        If the weights are missing or altered. The file is a pickle: it is not opened before its
        SHA-256 is found to be the known one.
    ImportError
        If torch-fidelity, which has the network, is not installed.
    """
    path = data_root(root) / "checkpoints" / WEIGHTS_NAME
    read_pinned(
        path,
        WEIGHTS_SHA256,
        "It is an asset of the release v0.2.0 of toshas/torch-fidelity on GitHub, and is not part "
        'of this project; the features "digits" need no file',
    )
    if importlib.util.find_spec("torch_fidelity") is None:
        raise ImportError(
            'the features "inception" need torch-fidelity: pip install torch-fidelity; '
            'the features "digits" do without'
        )
    from torchmetrics.image.fid import NoTrainInceptionV3

    make: Any = NoTrainInceptionV3  # untyped
    network = make("inception-v3-compat", ["2048"], str(path))
    return InceptionFeatures(network).eval().requires_grad_(False).to(device)
