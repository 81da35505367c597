"""Training of denoisers on the mixture by gradient descent on the DDPM objective."""

from gmmtf.training.run import Record, train
from gmmtf.training.settings import Settings, natural_step_size

__all__ = ["Record", "Settings", "natural_step_size", "train"]
