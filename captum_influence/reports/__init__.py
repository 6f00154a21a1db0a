"""What every result can do: a page, a dict, a file."""

from captum_influence.reports.display import Display, Highlight, Row
from captum_influence.reports.finding import Finding
from captum_influence.reports.many.result import Findings
from captum_influence.reports.page import Page
from captum_influence.reports.shown import Shown
from captum_influence.reports.summary import Summarized, Summary

__all__ = [
    "Display",
    "Finding",
    "Findings",
    "Highlight",
    "Page",
    "Row",
    "Shown",
    "Summarized",
    "Summary",
]
