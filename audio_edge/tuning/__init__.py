"""Search for the settings of the best int8 file that stays within a limit of size or latency."""
