"""`python -m hspec`, and with it `torchrun -m hspec`: the same as the `hspec` command."""

import sys

from hspec.cli import main

if __name__ == "__main__":
    sys.exit(main())
