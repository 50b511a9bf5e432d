"""`python -m millijoule`: the command line."""

import sys

from millijoule.cli import main

sys.exit(main())
