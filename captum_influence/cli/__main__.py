"""``python -m captum_influence.cli`` is ``captum-influence``."""

import sys

from captum_influence.cli.program import main

if __name__ == "__main__":
    sys.exit(main())
