"""From reviewed clips to a better model, and the proof that it is one."""
