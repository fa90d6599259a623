"""``python -m kvmexit``: the command line."""

import sys

from kvmexit.commands import main

if __name__ == "__main__":
    sys.exit(main())
