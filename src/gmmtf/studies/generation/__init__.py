"""The study of rare digits (chapter 10): runs, plans, samplers, and what the numbers say."""
