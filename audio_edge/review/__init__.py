"""Clips that a model may have got wrong: kept with consent, labelled by people, learnt from."""
