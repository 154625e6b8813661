"""``python -m wbd`` is ``wbd``."""

import sys

from wbd.cli import main

sys.exit(main())
