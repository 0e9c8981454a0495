"""`make demo`, or in the environment that it sets up: `PYTHONPATH=tools python -m demo`."""

import sys

from demo.cli import main

sys.exit(main())
