"""Bytes between the grader and a hostile child: every type survives, and any bytes give a value or WireError."""

from __future__ import annotations

import importlib.util
import math
import struct
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from grader.sandbox import wire
from grader.sandbox.wire import Handle, Limits, Tensor, WireError, decode, encode

NONE, FALSE, TRUE, INT, BIGINT, FLOAT, STR, BYTES, LIST, TUPLE, DICT, ARRAY, TENSOR, HANDLE = range(14)


def u32(number: int) -> bytes:
    return struct.pack("<I", number)


def array_bytes(code: int, dims: tuple[int, ...], raw: bytes = b"") -> bytes:
    return bytes((ARRAY, code, len(dims))) + struct.pack(f"<{len(dims)}Q", *dims) + raw


def same(a: Any, b: Any) -> bool:
    """Equality with types, in which NaN equals NaN."""
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray):
        return bool(a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes())
    if isinstance(a, Tensor):
        return a.framework == b.framework and same(a.array, b.array)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return same(list(a.items()), list(b.items()))
    if isinstance(a, float):
        return struct.pack("d", a) == struct.pack("d", b)
    return bool(a == b)


SCALARS: list[Any] = [
    None, True, False, 0, -1, 2**63 - 1, -(2**63), 2**63, -(2**63) - 1, 2**1000, -(2**1000), 0.0, -0.0, 1.5,
    math.inf, -math.inf, math.nan, "", "text", "中文 \u200b\U0001f600", b"", b"\0\xff", Handle(7, "Matmul"),
]  # fmt: skip
TREES: list[Any] = [
    [], (), {}, [1, (2.0, None), {"a": [True]}], {1: "int", "1": "str", None: 0, b"b": 0, 2.5: 0}, [[[[1]]]],
]  # fmt: skip


class TestRoundTrip:
    @pytest.mark.parametrize("value", SCALARS + TREES, ids=lambda v: repr(v)[:30])
    def test_plain_values(self, value: Any) -> None:
        assert same(decode(encode(value)), value)

    @pytest.mark.parametrize("name", wire.DTYPES)
    @pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3), (2, 0, 3), (1,) * 8])
    def test_arrays_of_every_dtype_and_rank(self, name: str, shape: tuple[int, ...]) -> None:
        array = (np.arange(math.prod(shape)) % 2).astype(name).reshape(shape)
        back = decode(encode(array))
        assert same(back, array)
        assert back.flags.writeable, "an answer that cannot be written to would surprise an author"

    @pytest.mark.parametrize("code", ["f2", "f4", "f8", "i2", "i4", "i8", "u2", "u4", "u8", "c8", "c16"])
    def test_big_endian_arrays_arrive_as_little_endian(self, code: str) -> None:
        array = np.array([1, 2, 300 % 100]).astype(f">{code}")
        back = decode(encode(array))
        assert back.dtype == np.dtype(f"<{code}")
        assert np.array_equal(back, array)

    @pytest.mark.parametrize(
        "array",
        [np.arange(12.0).reshape(3, 4).T, np.arange(12)[::-2], np.arange(24.0).reshape(2, 3, 4)[:, 1], np.eye(3)[::2]],
        ids=["transposed", "reversed", "sliced", "strided"],
    )
    def test_arrays_that_are_not_contiguous(self, array: np.ndarray[Any, Any]) -> None:
        assert np.array_equal(decode(encode(array)), array)
        assert decode(encode(array)).shape == array.shape

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -0.0])
    @pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "c8", "c16"])
    def test_special_numbers_bit_by_bit(self, value: float, dtype: str) -> None:
        array = np.array([value, 1]).astype(dtype)
        assert same(decode(encode(array)), array)

    @pytest.mark.parametrize("framework", wire.FRAMEWORKS)
    def test_tensors(self, framework: str) -> None:
        tensor = Tensor(framework, np.arange(6, dtype=np.float32).reshape(2, 3))
        assert same(decode(encode(tensor)), tensor)

    def test_a_decoded_array_does_not_share_the_frame(self) -> None:
        frame = encode(np.arange(3.0))
        first, second = decode(frame), decode(frame)
        first[0] = 9
        assert second[0] == 0

    @pytest.mark.parametrize("name", ["类" * 40, "a" * 99 + "类", "x" * 500])
    def test_a_type_name_is_shortened_without_breaking_it(self, name: str) -> None:
        back = decode(encode(Handle(3, name)))
        assert back.id == 3
        assert name.startswith(back.kind)
        assert back.kind

    @pytest.mark.parametrize(
        "value",
        [
            object(), 1j, {1, 2}, np.float64(1), {(1,): 2}, np.array(["a"]), np.array([None]), bytearray(b"a"),
            np.array(["2020"], dtype="M8[D]"), 2**5000, np.ma.array([1]), type("L", (list,), {})(),
        ],
        ids=lambda v: type(v).__name__,
    )  # fmt: skip
    def test_other_types_do_not_travel(self, value: Any) -> None:
        with pytest.raises(WireError):
            encode(value)

    def test_a_structure_that_holds_itself_ends(self) -> None:
        endless: list[Any] = []
        endless.append(endless)
        with pytest.raises(WireError):
            encode(endless)


class TestFrames:
    def test_header_and_payload(self) -> None:
        frame = wire.frame(wire.RESULT, 5, b"abc")
        assert wire.parse_header(frame[: wire.HEADER_BYTES]) == (wire.RESULT, 5, 3)
        assert frame[wire.HEADER_BYTES :] == b"abc"

    @pytest.mark.parametrize("at", range(8))
    def test_every_fixed_byte_counts(self, at: int) -> None:
        header = bytearray(wire.frame(wire.RESULT, 5, b"")[: wire.HEADER_BYTES])
        if at == 4:  # the type is free: the reader compares it with the question
            return
        header[at] ^= 1
        with pytest.raises(WireError):
            wire.parse_header(bytes(header))

    @pytest.mark.parametrize("size", [0, 15, 17])
    def test_a_header_has_one_size(self, size: int) -> None:
        with pytest.raises(WireError):
            wire.parse_header(bytes(size))


HOSTILE: dict[str, bytes] = {
    "nothing": b"",
    "unknown tag": bytes((200,)),
    "first unused tag": bytes((14,)),
    "cut short": encode(1.5)[:-1],
    "bytes after the value": encode(1) + b"\0",
    "list of 4 billion": bytes((LIST,)) + u32(2**32 - 1),
    "tuple of 4 billion": bytes((TUPLE,)) + u32(2**32 - 1),
    "dict of 4 billion": bytes((DICT,)) + u32(2**32 - 1) + bytes(100),
    "list longer than its bytes": bytes((LIST,)) + u32(3) + bytes((NONE, NONE)),
    "text longer than its bytes": bytes((STR,)) + u32(50) + b"abc",
    "bytes longer than their bytes": bytes((BYTES,)) + u32(2**31) + b"abc",
    "text of no encoding": bytes((STR,)) + u32(2) + b"\xff\xfe",
    "a lone surrogate": bytes((STR,)) + u32(3) + b"\xed\xa0\x80",
    "an endless integer": bytes((BIGINT,)) + u32(600) + bytes(600),
    "repeated key": bytes((DICT,)) + u32(2) + (encode("a") + encode(1)) * 2,
    "keys that are equal": bytes((DICT,)) + u32(2) + encode(1) + encode(0) + encode(True) + encode(0),
    "list as key": bytes((DICT,)) + u32(1) + encode([]) + encode(1),
    "array as key": bytes((DICT,)) + u32(1) + encode(np.ones(1)) + encode(1),
    "unknown dtype": array_bytes(len(wire.DTYPES), (1,), bytes(8)),
    "nine dimensions": array_bytes(11, (1,) * 9, bytes(8)),
    "dims beyond 64 bits": array_bytes(11, (2**31, 2**31, 2**31), bytes(8)),
    "dims that wrap to 8 bytes": array_bytes(11, (2**31, 2**31, 4, 1), bytes(8)),
    "one huge dim": array_bytes(11, (2**63,), bytes(8)),
    "array larger than its bytes": array_bytes(11, (2,), bytes(8)),
    "array smaller than its bytes": array_bytes(11, (1,), bytes(16)),
    "truth value 2": array_bytes(0, (2,), b"\1\2"),
    "unknown framework": bytes((TENSOR, 9)) + array_bytes(11, (1,), bytes(8))[1:],
    "too deep": bytes((LIST,)) + u32(1),
}
HOSTILE["too deep"] = HOSTILE["too deep"] * 5000 + bytes((NONE,))


class TestHostileBytes:
    @pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
    def test_is_refused_quickly_and_without_memory(self, data: bytes) -> None:
        tracemalloc.start()
        try:
            started = time.process_time()
            with pytest.raises(WireError):
                decode(data)
            assert time.process_time() - started < 1.0
            assert tracemalloc.get_traced_memory()[1] < 3 * len(data) + (1 << 20)
        finally:
            tracemalloc.stop()

    @pytest.mark.parametrize("dims", [(0, 2**31, 2**31), (0,) + (2**31,) * 7, (2**31, 2**31, 0)])
    def test_an_empty_array_of_impossible_shape(self, dims: tuple[int, ...]) -> None:
        with pytest.raises(WireError):
            decode(array_bytes(11, dims))

    @pytest.mark.parametrize(
        ("limits", "fits", "breaks"),
        [
            (Limits(max_nodes=4), [1, 2, 3], [1, 2, 3, 4]),
            (Limits(max_nodes=5), {"a": 1, "b": 2}, {"a": 1, "b": 2, "c": 3}),
            (Limits(max_depth=2), [[1]], [[[1]]]),
            (Limits(max_str=3), "abc", "abcd"),
            (Limits(max_str=3), "类", "类a"),
        ],
    )
    def test_limits(self, limits: Limits, fits: Any, breaks: Any) -> None:
        assert decode(encode(fits), limits) == fits
        with pytest.raises(WireError):
            decode(encode(breaks), limits)

    @given(st.binary(max_size=400))
    @settings(max_examples=500, deadline=500)
    def test_any_bytes(self, data: bytes) -> None:
        decodes_or_refuses(data)

    @given(
        st.lists(st.sampled_from([bytes((t,)) for t in range(14)] + [u32(n) for n in (0, 1, 2, 3, 2**31)]), max_size=40)
    )
    @settings(max_examples=500, deadline=500)
    def test_bytes_that_look_like_values(self, pieces: list[bytes]) -> None:
        decodes_or_refuses(b"".join(pieces))

    @given(st.data())
    @settings(max_examples=300, deadline=500)
    def test_a_value_with_one_byte_changed(self, data: st.DataObject) -> None:
        frame = bytearray(encode([{"values": [np.arange(4.0), "text", (1, None)]}, Handle(1, "x"), 2**80]))
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
        decodes_or_refuses(bytes(frame))

    def test_a_large_array_costs_no_more_than_three_times_its_bytes(self) -> None:
        data = encode(np.zeros(1 << 20))
        tracemalloc.start()
        decode(data)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 3 * len(data)


def decodes_or_refuses(data: bytes) -> None:
    try:
        value = decode(data)
    except WireError:
        return
    assert encode(value) == encode(decode(encode(value)))


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**200), 2**200)
    | st.floats()
    | st.text(max_size=20)
    | st.binary(max_size=20)
    | hnp.arrays(st.sampled_from(wire.DTYPES).map(np.dtype), hnp.array_shapes(min_dims=0, max_dims=3, min_side=0)),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(plain)
@settings(max_examples=300, deadline=500)
def test_any_value_survives(value: Any) -> None:
    data = encode(value)
    back = decode(data, wire.REQUEST_LIMITS)
    assert same(back, value)
    assert encode(back) == data


def test_the_fuzz_target_accepts_a_seed_corpus() -> None:
    path = Path(__file__).parent.parent / "fuzz" / "decode_target.py"
    spec = importlib.util.spec_from_file_location("decode_target", path)
    assert spec is not None
    assert spec.loader is not None
    target = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(target)
    for value in SCALARS + TREES:
        target.one_input(encode(value))
    for data in HOSTILE.values():
        target.one_input(data)
    with pytest.raises(TypeError):
        target.one_input("not bytes")


def test_steps_are_encoded_as_any_other_value() -> None:
    steps = [
        ["call", 1, None, "softmax", [np.ones((2, 3)), 1.5, None], {}],
        ["call", 2, wire.Handle(1, "Layer"), "forward", [[1, (2, 3)], wire.Handle(7)], {"axis": -1}],
        ["begin", 3, None, "", [{"seed": 5}], {}],
    ]
    assert wire.encode_steps(steps) == wire.encode(steps)
    assert wire.encode_steps([]) == wire.encode([])
