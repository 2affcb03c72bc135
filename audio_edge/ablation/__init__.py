"""Which augmentation is worth what: a config trained again with each of them switched."""
