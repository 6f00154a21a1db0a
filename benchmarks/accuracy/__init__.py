"""Whether the numbers are right: against finer rules, and against the definition itself."""
