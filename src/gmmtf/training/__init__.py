"""Training of denoisers on the mixture by gradient descent on the DDPM objective."""

from gmmtf.risks.first_step import natural_step_size
from gmmtf.training.run import Record, train
from gmmtf.training.settings import Settings

__all__ = ["Record", "Settings", "natural_step_size", "train"]
