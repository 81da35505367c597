"""How much a given excess risk takes: in patterns, tokens and steps (C4, F2B, F2C)."""
