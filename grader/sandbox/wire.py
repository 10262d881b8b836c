"""The bytes between the grader and a jailed child: frames and values.

Theory of operation. Two plain pipes, one question at a time. A frame is a 16-byte header

    magic u32 | type u8 | flags u8 = 0 | reserved u16 = 0 | call id u32 | length u32     (little endian)

and a payload that is one value: a tagged tree of a closed set of types. No pickle, no npy, no
compression, nothing that names code. `decode` is a pure function that either returns a value or raises
`WireError`; it checks every count against the bytes that are left before it allocates, because after the
first student statement the child is hostile.

The same file serves both ends (the child receives it as text), so it imports the standard library and NumPy only.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Value = Any  # None | bool | int | float | str | bytes | list | tuple | dict | ndarray | Tensor | Handle

MAGIC = 0x31445247  # "GRD1"
HEADER = struct.Struct("<IBBHII")
HEADER_BYTES = HEADER.size

# Frame types. Grader to child: REQUEST, BYE. Child to grader: READY, RESULT, ERROR.
REQUEST, BYE = 1, 2
READY, RESULT, ERROR = 16, 17, 18

DTYPES = ("|b1", "|i1", "<i2", "<i4", "<i8", "|u1", "<u2", "<u4", "<u8", "<f2", "<f4", "<f8", "<c8", "<c16")
_DTYPES = [np.dtype(name) for name in DTYPES]
_DTYPE_CODE = {np.dtype(name): code for code, name in enumerate(DTYPES)}
FRAMEWORKS = ("tensorflow", "torch")

_NONE, _FALSE, _TRUE, _INT, _BIGINT, _FLOAT, _STR, _BYTES, _LIST, _TUPLE, _DICT, _ARRAY, _TENSOR, _HANDLE = range(14)
_TAGS = [bytes((tag,)) for tag in range(14)]
_U32 = struct.Struct("<I")
_I64 = struct.Struct("<q")
_F64 = struct.Struct("<d")
_TAGGED_U32 = struct.Struct("<BI")
_TAGGED_I64 = struct.Struct("<Bq")
_TAGGED_F64 = struct.Struct("<Bd")
_SHAPES = [struct.Struct(f"<BB{ndim}Q") for ndim in range(9)]
_MAX_ENCODED_DEPTH = 32
_SIX = _TAGGED_U32.pack(_LIST, 6)
_NO_ITEMS = _TAGGED_U32.pack(_DICT, 0)
_MAX_BIGINT_BYTES = 512
_MAX_OTHER_KEYS = 300
_MAX_DIM = 2**31
_KEY_TYPES = (str, int, bool, float, bytes, type(None))


class WireError(ValueError):
    """Bytes that are not a frame or a value of this protocol, or a value that the protocol cannot carry."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on one decoded value: bytes in total, nodes of the tree, nesting, bytes of one string."""

    max_bytes: int = 32 << 20
    max_nodes: int = 10_000
    max_depth: int = 7
    max_str: int = 64 << 10


# A value has at most 4 levels; the reply around it (reply, list of `each`, ok/error pair) adds 3.
DEFAULT_LIMITS = Limits()
REQUEST_LIMITS = Limits(max_bytes=256 << 20, max_nodes=200_000, max_depth=12, max_str=8 << 20)


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """A framework tensor on the wire. `array`: any shape; a framework's own dtypes are widened to NumPy's."""

    framework: str
    array: Array


@dataclass(frozen=True, slots=True)
class Handle:
    """An object that stays in the child; only its number and the name of its type travel."""

    id: int
    kind: str = "object"


def frame(kind: int, call_id: int, payload: bytes) -> bytes:
    """Header and payload as the bytes to send."""
    return HEADER.pack(MAGIC, kind, 0, 0, call_id, len(payload)) + payload


def parse_header(header: bytes) -> tuple[int, int, int]:
    """(type, call id, payload length). Raises WireError for anything but the 16 bytes of a valid header."""
    if len(header) != HEADER_BYTES:
        raise WireError(f"a header has {HEADER_BYTES} bytes, got {len(header)}")
    magic, kind, flags, reserved, call_id, length = HEADER.unpack(header)
    if magic != MAGIC or flags or reserved:
        raise WireError("not a frame of this protocol")
    return kind, call_id, length


def encode(value: Value) -> bytes:
    """The bytes of a value. Raises WireError for a type outside the closed set; subclasses are outside too."""
    out: list[bytes] = []
    _encode(value, out, 0)
    return b"".join(out)


def encode_steps(steps: Sequence[Sequence[Any]]) -> bytes:
    """What `encode` gives for a list of steps [operation, slot, on, name, args, kwargs], faster: most of it repeats."""
    out = [_TAGGED_U32.pack(_LIST, len(steps))]
    for operation, slot, on, name, args, kwargs in steps:
        out += (
            _SIX + _short_str(operation),
            _TAGGED_I64.pack(_INT, slot),
            _TAGS[_NONE] if on is None else _handle_bytes(on.id, on.kind),
            _short_str(name),
            _TAGGED_U32.pack(_LIST, len(args)),
        )
        for arg in args:
            _encode(arg, out, 2)
        if kwargs:
            _encode(kwargs, out, 1)
        else:
            out.append(_NO_ITEMS)
    return b"".join(out)


def _encode(value: Value, out: list[bytes], depth: int) -> None:
    encoder = _ENCODERS.get(type(value))
    if encoder is None:
        raise WireError(f"a value of type {type(value).__name__} cannot travel")
    encoder(value, out, depth)


def _encode_none(value: None, out: list[bytes], depth: int) -> None:
    out.append(b"\0")


def _encode_bool(value: bool, out: list[bytes], depth: int) -> None:
    out.append(_TAGS[_TRUE] if value else _TAGS[_FALSE])


def _encode_int(value: int, out: list[bytes], depth: int) -> None:
    if -(2**63) <= value < 2**63:
        out.append(_TAGGED_I64.pack(_INT, value))
        return
    size = value.bit_length() // 8 + 1
    if size > _MAX_BIGINT_BYTES:
        raise WireError(f"an integer of more than {_MAX_BIGINT_BYTES} bytes")
    out.append(_TAGGED_U32.pack(_BIGINT, size) + value.to_bytes(size, "little", signed=True))


def _encode_float(value: float, out: list[bytes], depth: int) -> None:
    out.append(_TAGGED_F64.pack(_FLOAT, value))


def _encode_str(value: str, out: list[bytes], depth: int) -> None:
    out.append(_short_str(value) if len(value) < 40 else _long_str(value))


def _long_str(value: str) -> bytes:
    data = value.encode("utf-8", "replace")
    return _TAGGED_U32.pack(_STR, len(data)) + data


_short_str = functools.lru_cache(1024)(_long_str)  # operations and names come again and again


def _encode_bytes(value: bytes, out: list[bytes], depth: int) -> None:
    out.append(_TAGGED_U32.pack(_BYTES, len(value)) + value)


def _encode_sequence(value: list[Any] | tuple[Any, ...], out: list[bytes], depth: int) -> None:
    if depth > _MAX_ENCODED_DEPTH:
        raise WireError("nested too deeply")
    out.append(_TAGGED_U32.pack(_LIST if type(value) is list else _TUPLE, len(value)))
    for item in value:
        encoder = _ENCODERS.get(type(item))
        if encoder is None:
            raise WireError(f"a value of type {type(item).__name__} cannot travel")
        encoder(item, out, depth + 1)


def _encode_dict(value: dict[Any, Any], out: list[bytes], depth: int) -> None:
    if depth > _MAX_ENCODED_DEPTH:
        raise WireError("nested too deeply")
    out.append(_TAGGED_U32.pack(_DICT, len(value)))
    for key, item in value.items():
        if type(key) not in _KEY_TYPES:
            raise WireError(f"a dictionary key of type {type(key).__name__}")
        _encode(key, out, depth + 1)
        _encode(item, out, depth + 1)


def _encode_array(value: Array, out: list[bytes], depth: int) -> None:
    out.append(_TAGS[_ARRAY])
    _put_array(value, out)


def _encode_tensor(value: Tensor, out: list[bytes], depth: int) -> None:
    out.append(bytes((_TENSOR, FRAMEWORKS.index(value.framework))))
    _put_array(value.array, out)


def _encode_handle(value: Handle, out: list[bytes], depth: int) -> None:
    out.append(_handle_bytes(value.id, value.kind))


@functools.lru_cache(4096)
def _handle_bytes(number: int, kind: str) -> bytes:
    data = kind[:100].encode("utf-8", "replace")
    return _TAGGED_U32.pack(_HANDLE, len(data)) + data + _U32.pack(number)


def _put_array(array: Array, out: list[bytes]) -> None:
    code = _DTYPE_CODE.get(array.dtype)
    if code is None:  # another byte order, or a type that is not ours
        code = _DTYPE_CODE.get(array.dtype.newbyteorder("<"))
        if code is None:
            raise WireError(f"an array of dtype {array.dtype} cannot travel")
        array = array.astype(DTYPES[code])
    if array.ndim > 8:
        raise WireError("an array of more than 8 dimensions")
    out.append(_SHAPES[array.ndim].pack(code, array.ndim, *array.shape))
    out.append(array.tobytes())


_ENCODERS: dict[type, Callable[[Any, list[bytes], int], None]] = {
    type(None): _encode_none,
    bool: _encode_bool,
    int: _encode_int,
    float: _encode_float,
    str: _encode_str,
    bytes: _encode_bytes,
    list: _encode_sequence,
    tuple: _encode_sequence,
    dict: _encode_dict,
    np.ndarray: _encode_array,
    Tensor: _encode_tensor,
    Handle: _encode_handle,
}


def decode(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Value:
    """The value of a payload. Pure; raises WireError for anything that is not exactly one value within limits.

    Arrays are fresh, writable, C-contiguous copies.
    """
    if len(data) > limits.max_bytes:
        raise WireError(f"{len(data)} bytes where {limits.max_bytes} are allowed")
    reader = _Reader(data, limits)
    value = reader.value(0)
    if reader.at != len(data):
        raise WireError(f"{len(data) - reader.at} bytes too many")
    return value


class _Reader:
    """One pass over the bytes; `at` is the next unread one."""

    __slots__ = ("at", "data", "limits", "nodes")

    def __init__(self, data: bytes, limits: Limits) -> None:
        self.data, self.limits, self.at, self.nodes = data, limits, 0, 0

    def take(self, count: int) -> bytes:
        end = self.at + count
        if end > len(self.data):
            raise WireError("cut short")
        piece = self.data[self.at : end]
        self.at = end
        return piece

    def u32(self) -> int:
        return int.from_bytes(self.take(4), "little")

    def value(self, depth: int) -> Value:
        self.nodes += 1
        if self.nodes > self.limits.max_nodes:
            raise WireError(f"more than {self.limits.max_nodes} items")
        if depth > self.limits.max_depth:
            raise WireError(f"nested deeper than {self.limits.max_depth}")
        if self.at >= len(self.data):
            raise WireError("cut short")
        tag = self.data[self.at]
        self.at += 1
        if tag == _ARRAY:
            return self.array()
        if tag == _STR:
            return self.text()
        if tag == _INT:
            return _I64.unpack(self.take(8))[0]
        if tag <= _TRUE:
            return (None, False, True)[tag]
        if tag == _FLOAT:
            return _F64.unpack(self.take(8))[0]
        if tag == _TENSOR:
            return self.tensor()
        if tag in (_LIST, _TUPLE, _DICT):
            return self.container(tag, depth)
        return self.blob(tag)

    def text(self) -> str:
        size = self.u32()
        if size > self.limits.max_str:
            raise WireError(f"a text of more than {self.limits.max_str} bytes")
        try:
            return self.take(size).decode("utf-8", "strict")
        except UnicodeDecodeError:
            raise WireError("a text that is not UTF-8") from None

    def blob(self, tag: int) -> Value:
        if tag == _HANDLE:
            kind = self.text()
            return Handle(self.u32(), kind[:100])
        if tag not in (_BYTES, _BIGINT):
            raise WireError(f"unknown tag {tag}")
        size = self.u32()
        if tag == _BIGINT and size > _MAX_BIGINT_BYTES:
            raise WireError("an integer that is too long")
        data = self.take(size)
        return data if tag == _BYTES else int.from_bytes(data, "little", signed=True)

    def container(self, tag: int, depth: int) -> Value:
        count = self.u32()
        if count > len(self.data) - self.at or self.nodes + count > self.limits.max_nodes:
            raise WireError("more items than there are bytes or than are allowed")
        if tag != _DICT:
            items = [self.value(depth + 1) for _ in range(count)]
            return items if tag == _LIST else tuple(items)
        table: dict[Any, Value] = {}
        others = 0  # numbers can be chosen to collide, which makes a large table slow; texts cannot
        for _ in range(count):
            key = self.value(depth + 1)
            others += type(key) not in (str, bytes)
            if others > _MAX_OTHER_KEYS:
                raise WireError("too many dictionary keys that are not text")
            if type(key) not in _KEY_TYPES or key in table:
                raise WireError("a dictionary key that is repeated or of a wrong type")
            table[key] = self.value(depth + 1)
        return table

    def tensor(self) -> Tensor:
        framework = self.take(1)[0]
        if framework >= len(FRAMEWORKS):
            raise WireError("a tensor of an unknown framework")
        return Tensor(FRAMEWORKS[framework], self.array())

    def array(self) -> Array:
        code, ndim = self.take(2)
        if code >= len(DTYPES) or ndim > 8:
            raise WireError("an array of an unknown dtype or of more than 8 dimensions")
        dtype = _DTYPES[code]
        shape = struct.unpack(f"<{ndim}Q", self.take(8 * ndim))
        size = dtype.itemsize
        for dim in shape:  # Python integers: no overflow
            if dim > _MAX_DIM:
                raise WireError("an array dimension that is too large")
            size *= dim
        if size > len(self.data) - self.at:
            raise WireError("an array that is larger than its bytes")
        raw = self.take(size)
        if code == 0 and raw.translate(None, b"\0\1"):
            raise WireError("a truth value that is neither 0 nor 1")
        try:
            array: Array = np.frombuffer(raw, dtype=dtype).reshape(shape).copy()
        except ValueError:  # empty, with other dimensions whose product no array can have
            raise WireError("an empty array of an impossible shape") from None
        return array
