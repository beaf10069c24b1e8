"""`python -m sketchloss`, for where the command is not on the path, and for `accelerate launch -m sketchloss`."""

import sys

from sketchloss.cli import main

if __name__ == "__main__":
    sys.exit(main())
