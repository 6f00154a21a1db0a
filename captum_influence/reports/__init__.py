"""What every result can do: a page, a dict, a file."""

from captum_influence.reports.finding import Finding
from captum_influence.reports.page import Page

__all__ = ["Finding", "Page"]
