"""What must hold for the statements of the chapter."""

from gmmtf.check import Bound

BOUNDS = [
    Bound("chain-deviation", "chain: worst moment deviation / s.e.", at_most=4.5),
    Bound("confused", "labels: confusion at the threshold", 0.09, 0.11),
    Bound("decomposition", "loss = Bayes + excess: worst difference / s.e.", at_most=4.5),
    Bound("blend-ratio", "excess risk is delta^2 times its value at 1", 0.95, 1.05),
    Bound("ratio", "s.e. of loss difference / s.e. of excess", at_least=100),
    Bound("tweedie", "Tweedie: relative difference", at_most=1e-10, shown=False),
    Bound("score-identity", "score identity: relative difference", at_most=1e-8, shown=False),
]
