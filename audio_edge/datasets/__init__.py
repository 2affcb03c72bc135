"""Data sets: which clips there are, who speaks them, and the arrays that a stage reads."""
