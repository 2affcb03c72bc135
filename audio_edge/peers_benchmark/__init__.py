"""Our models beside what a user would pick instead: from PCM to answer, per second of sound."""
