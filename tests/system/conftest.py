"""The stacks that tests of several files start."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.system.tiny_stack import Group
from wbd.stack.mariadb import MariaDB


@pytest.fixture
def group(tmp_path_factory: pytest.TempPathFactory, mariadb: MariaDB) -> Iterator[Group]:
    group = Group(tmp_path_factory.mktemp("g") / "s")
    yield group
    group.down()
    assert group.left_over() == []
