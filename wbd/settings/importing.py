"""Settings of imports."""

from __future__ import annotations

from pydantic import Field

from wbd.settings.subject import Subject


class Import(Subject):
    """Import: bounds of one run of wbd import."""

    import_max_line_bytes: int = Field(64 * 1024 * 1024, ge=1024, description="a longer line is rejected")
    import_threads: int = Field(4, ge=1, le=64, description="writers of one import")
