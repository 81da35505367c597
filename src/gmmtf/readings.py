"""Whether what a network returns looks like another parametrisation than the one it was given."""

from __future__ import annotations

from collections import Counter

import torch
from torch import Tensor

from gmmtf.laws.noisy import Noisy
from gmmtf.parametrisation import from_noise, resolve_prediction, to_noise
from gmmtf.schedule import NoiseSchedule

_OTHERS = ("noise", "x0", "v", "score")  # EDM's network is given other inputs
_SMALL = 0.1
_SHARE = 0.4


class Readings:
    """Compares, batch by batch, the readings of one network's outputs as each parametrisation.

    A batch speaks for another reading if in the given one the network is worse than one that always
    returns zeros, while in the other its excess risk is below a tenth of what it is now, and below
    a tenth of what zeros would have there: the outputs then hold what that reading says. A batch
    speaks against if the same is true the other way round.
    """

    def __init__(self, prediction: str, schedule: NoiseSchedule) -> None:
        self.prediction = resolve_prediction(prediction)
        self.schedule = schedule
        self.votes = Counter[str]()
        self.batches = 0

    def add(self, predicted: Tensor, bayes: Tensor, noisy: Noisy) -> None:
        """Take in a batch: predicted and optimal noise, float64 of the shape of ``noisy.x_t``."""
        if self.prediction == "edm":
            return
        self.batches += 1
        x_t, t = noisy.x_t.double(), noisy.t
        raw = from_noise(predicted, self.schedule, x_t, t, prediction=self.prediction)

        def excess(output: Tensor, prediction: str) -> float:
            noise = to_noise(output, self.schedule, x_t, t, prediction=prediction)
            return float((noise - bayes).square().mean())

        given = excess(raw, self.prediction)
        given_zero = excess(torch.zeros_like(raw), self.prediction)
        for other in set(_OTHERS) - {self.prediction}:
            found, zero = excess(raw, other), excess(torch.zeros_like(raw), other)
            if given > given_zero and found < _SMALL * min(given, zero):
                self.votes[other] += 1
            if given < _SMALL * min(found, given_zero):
                self.votes[other] -= 1

    def other(self) -> str | None:
        """The parametrisation that the outputs look like, if it is another than the given one."""
        best = max(self.votes, key=self.votes.__getitem__, default=None)
        return best if best and self.votes[best] > _SHARE * self.batches else None
