"""The population dynamics without d-dimensional tokens: exact reduced simulation.

In the invariant family of theory result 2 a noisy data point acts through its pattern coordinates
and the Gram matrix of its complement parts alone, and both can be drawn directly (theory result 3).
The cost then does not depend on d.
"""

from gmmtf.population.descent import PopulationRecord, train
from gmmtf.population.risk import evaluate, squared_error
from gmmtf.population.tokens import ReducedTokens, draw_tokens

__all__ = [
    "PopulationRecord",
    "ReducedTokens",
    "draw_tokens",
    "evaluate",
    "squared_error",
    "train",
]
