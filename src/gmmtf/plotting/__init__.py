"""Figures: one function each, which takes data and returns a Matplotlib figure."""
