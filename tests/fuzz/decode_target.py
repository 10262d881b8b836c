"""Fuzzes the decoder of the bytes that a hostile child sends: any bytes give a value or WireError.

    python tests/fuzz/decode_target.py -runs=1000000

Needs atheris (pip install atheris), which is not among the locked dependencies: it has no wheels for every Python here.
tests/unit/test_wire.py runs `one_input` on a small corpus without it.
"""

from __future__ import annotations

import sys

from grader.sandbox import wire


def one_input(data: bytes) -> None:
    """Decodes, and encodes what came out: the second round must give the same bytes."""
    try:
        value = wire.decode(data)
    except wire.WireError:
        return
    again = wire.encode(value)
    assert wire.encode(wire.decode(again)) == again, "encode after decode is not a fixpoint"


def main() -> None:
    import atheris

    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
