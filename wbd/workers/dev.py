"""Create and check the buckets, tables and topics that wbd needs: ``python -m wbd.workers.dev create_tables``.

Reads:    the settings, the steps of the schema
Writes:   buckets, tables, columns and topics that are missing; removes nothing
Repeats:  harmless
"""

from __future__ import annotations

import sys

from wbd.provision.command import main

if __name__ == "__main__":
    sys.exit(main())
