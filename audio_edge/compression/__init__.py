"""Every way to shrink one float stage, side by side."""
