"""What ``captum-influence`` starts with: loading the package takes seconds and may be interrupted.

It stands beside the package, since whatever is imported from the package loads all of it.
"""

from __future__ import annotations

import importlib
import sys

__all__ = ["main"]


def main() -> int:
    """Run ``captum-influence`` and return its exit status."""
    try:
        program = importlib.import_module("captum_influence.cli.program")
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # of any kind: an interruption may come out as another error
        if "--debug" in sys.argv:
            raise
        told = " ".join(str(error).split())
        sys.stderr.write(
            f"captum-influence: error: expected captum_influence and torch to load, got "
            f"{type(error).__name__}: {told}; install them again\n"
        )
        return 2
    return int(program.main())
