"""Optimal DDPM denoising of multi-token Gaussian mixtures, exact and learned.

Implements and tests "Transformers Learn the Optimal DDPM Denoiser for Multi-Token GMMs"
(arXiv 2604.10074). A denoiser is any callable ``denoise(x_t, t) -> noise`` with ``x_t`` of shape
``[batch, tokens, dim]`` and integer times ``t`` of shape ``[batch]``.
"""

__version__ = "0.1.0"

from gmmtf.denoisers.attention import AttentionDenoiser
from gmmtf.denoisers.empirical import EmpiricalDenoiser
from gmmtf.denoisers.linear import LinearDenoiser
from gmmtf.denoisers.optimal import BayesDenoiser, OracleDenoiser, optimal_denoiser, score
from gmmtf.denoisers.reduced import ReducedWeight
from gmmtf.descent import descend
from gmmtf.device import resolve_device
from gmmtf.estimate import Estimate
from gmmtf.laws.full import FullMixture
from gmmtf.laws.law import Law, Tokens
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.laws.noisy import draw_noisy
from gmmtf.laws.pool import TokenLaw
from gmmtf.laws.posterior import posterior
from gmmtf.measurement import Measurement
from gmmtf.measuring import measure
from gmmtf.risks.evaluate import Evaluation, ddpm_loss, evaluate
from gmmtf.risks.first_step import natural_step_size
from gmmtf.risks.linear import linear_risk
from gmmtf.risks.optimum import bayes_risk, oracle_risk
from gmmtf.risks.risk import risk
from gmmtf.scaling.steps import steps_to_risk
from gmmtf.scaling.tokens import best_weight, tokens_needed
from gmmtf.schedule import NoiseSchedule, stratified_times
from gmmtf.sweep import sweep
from gmmtf.training import TrainingRecord, train

__all__ = [
    "AttentionDenoiser",
    "BayesDenoiser",
    "EmpiricalDenoiser",
    "Estimate",
    "Evaluation",
    "FullMixture",
    "Law",
    "LinearDenoiser",
    "Measurement",
    "MultiTokenGMM",
    "NoiseSchedule",
    "OracleDenoiser",
    "ReducedWeight",
    "TokenLaw",
    "Tokens",
    "TrainingRecord",
    "bayes_risk",
    "best_weight",
    "ddpm_loss",
    "descend",
    "draw_noisy",
    "evaluate",
    "linear_risk",
    "measure",
    "natural_step_size",
    "optimal_denoiser",
    "oracle_risk",
    "posterior",
    "resolve_device",
    "risk",
    "score",
    "steps_to_risk",
    "stratified_times",
    "sweep",
    "tokens_needed",
    "train",
]
