"""The reference of the features, NumPy float64: what every front end is held against."""
