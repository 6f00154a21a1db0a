"""Prompts: pairs of them out of a file, and those of a loader without their pads."""
