"""Risks of denoisers: of any by Monte Carlo, of the optimum and of the attention head exactly."""
