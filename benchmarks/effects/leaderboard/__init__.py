"""All methods against the same ground truths."""
