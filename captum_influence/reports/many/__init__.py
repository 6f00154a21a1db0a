"""One question put to many inputs, one by one: an index, and a page for each."""

from captum_influence.reports.many.result import Entry, Findings, LeftOut

__all__ = ["Entry", "Findings", "LeftOut"]
