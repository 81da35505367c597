"""Figures: one function each, which takes data and returns a Matplotlib figure."""

from gmmtf.plotting.style import COLOURS, PATTERN_COLOURS, use_style

__all__ = ["COLOURS", "PATTERN_COLOURS", "use_style"]
