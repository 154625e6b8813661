"""Take ids from the id server of this host.

python examples/take_ids.py SOCKET
"""

from __future__ import annotations

import sys

from wbd.ids import IdClient


def main(socket: str) -> None:
    """Take one id, ten ids, and a block of twenty consecutive ids."""
    ids = IdClient(socket)
    print("one item:     ", ids.next("item"))
    lexemes = ids.take("lexeme", 10)
    print("ten lexemes:  ", lexemes[0], "to", lexemes[-1])
    block = ids.range("item", 20)
    print("a block of 20:", f"Q{block.first} to Q{block.last}")
    print("attached to shared memory:", ids.attached)


if __name__ == "__main__":
    main(sys.argv[1])
