"""The command `sketchloss`, also as `python -m sketchloss`, and for `accelerate launch -m sketchloss`."""

import sys

from sketchloss.system.interrupts import ended_by_interrupts

with ended_by_interrupts():
    from sketchloss.cli import main

if __name__ == "__main__":
    sys.exit(main())
