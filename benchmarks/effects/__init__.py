"""Whether what is found has the effect that is claimed, and lies where the cause lies."""
