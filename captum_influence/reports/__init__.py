"""The pages of the report, one module for each finding, in one language of words and pictures."""
