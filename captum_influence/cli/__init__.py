"""The command line: ``captum-influence``."""

from captum_influence.cli.program import main

__all__ = ["main"]
