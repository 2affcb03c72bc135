"""Front ends side by side: what they cost, how exact they are, and what others make of it."""
