"""The effective picture: risks and training curves of the head without drawing tokens.

Seen from one query token, all other tokens are independent draws from one law. The error of the
attention average is then computed from that law, for any number of tokens and any dimension at the
same cost: by an expansion in 1/N, or exactly by a one-dimensional integral.
"""

from gmmtf.effective.descent import EffectiveRecord, gradient, train
from gmmtf.effective.head import PLAIN, HeadScalars
from gmmtf.effective.risk import EffectiveRisk, ValidityWarning, risk

__all__ = [
    "PLAIN",
    "EffectiveRecord",
    "EffectiveRisk",
    "HeadScalars",
    "ValidityWarning",
    "gradient",
    "risk",
    "train",
]
