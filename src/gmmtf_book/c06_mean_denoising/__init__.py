"""Chapter 6: the attention replaced by others, simulated and predicted (C6, C7, F1)."""

from gmmtf_book.c06_mean_denoising import figures, summary, tables
from gmmtf_book.c06_mean_denoising.checks import BOUNDS
from gmmtf_book.c06_mean_denoising.draws import attention_maps, distances, noisy_tokens
from gmmtf_book.c06_mean_denoising.plan import PLANS, SCHEDULE, Plan
from gmmtf_book.c06_mean_denoising.run import Study, recorded

__all__ = ["BOUNDS", "PLANS", "SCHEDULE", "Plan", "Study", "attention_maps", "distances"]
__all__ += ["figures", "noisy_tokens", "recorded", "summary", "tables"]
