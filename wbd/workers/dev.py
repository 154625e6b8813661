"""Create and check the buckets, tables and topics that wbd needs: ``python -m wbd.workers.dev create_tables``.

Reads:    the settings, schema.sql
Writes:   buckets, tables and topics that are missing; never changes or removes one that is there
Repeats:  harmless
"""

from __future__ import annotations

import sys

from wbd.provision.command import main

if __name__ == "__main__":
    sys.exit(main())
