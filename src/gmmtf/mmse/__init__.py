"""Minimum-mean-square-error estimators of the injected noise, and their risks.

For squared error the best estimator of ε given what it sees is a conditional mean. The *oracle*
sees the noisy tokens and their labels; the *Bayes* estimator sees the noisy tokens alone (C7).
"""

from gmmtf.mmse.estimators import BayesDenoiser, OracleDenoiser, score
from gmmtf.mmse.level import Level, noise_level
from gmmtf.mmse.posterior import posterior
from gmmtf.mmse.risks import bayes_risk, oracle_risk

__all__ = [
    "BayesDenoiser",
    "Level",
    "OracleDenoiser",
    "bayes_risk",
    "noise_level",
    "oracle_risk",
    "posterior",
    "score",
]
