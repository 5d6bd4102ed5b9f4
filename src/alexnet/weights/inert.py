"""A pickle read without running anything of it.

A pickle is a program that may call any function. Here its instructions are interpreted over plain values only: a class
or function that it names becomes a `Name`, what it would build with one becomes a `Record`, and the few that hold
numbers are given by the caller as functions of this package (`known`). Nothing that outlives the reading can be
changed, and the steps are counted. Instructions: Lib/pickletools.py of CPython.
"""

import pickletools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

MAX_STEPS = 1_000_000
"""Instructions in one pickle; a checkpoint of ResNet-1202 with Adam's state has 650,000."""

_KEYS = (str, bytes, int, float, type(None))
_LIBRARIES = ("torch", "numpy", "collections", "copyreg", "copy_reg", "datetime", "functools")
_BUILT_IN = ("set", "frozenset", "complex", "slice", "range", "bytearray", "object")


class Refused(Exception):
    """The pickle asks for what no weights need."""


@dataclass(frozen=True)
class Name:
    """A class or function that the pickle names."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module[:40]}.{self.name[:40]}"


@dataclass(eq=False)
class Record:
    """What the pickle would have built with a class or function; never built."""

    kind: Name
    args: tuple[Any, ...] = ()
    state: Any = field(default=None, repr=False)

    def build(self, state: Any) -> None:
        self.state = state


Known = Mapping[tuple[str, str], Callable[..., Any]]


def load(file: BinaryIO, known: Known, persistent: Callable[[Any], Any] | None = None) -> Any:
    """The value of the pickle that begins at the file's position, which is left after it.

    known: functions of this package by the names for which they stand. persistent: makes a value of a persistent id;
    None: there are none. What `known` returns may have a method `build(state)`, else it is given no state. Refused for
    functions of other programs and for more than MAX_STEPS; damage raises nearly any Exception.
    """
    machine = _Machine(known, persistent)
    for count, (opcode, argument, _) in enumerate(pickletools.genops(file)):
        if count >= MAX_STEPS:
            raise Refused(f"has more than {MAX_STEPS:,} instructions, more than any checkpoint of these networks")
        if opcode.name == "STOP":
            return machine.stack.pop()
        machine.step(opcode.name, argument)
    raise ValueError("no end")


class _Machine:
    """Stack and memo of one pickle."""

    def __init__(self, known: Known, persistent: Callable[[Any], Any] | None):
        self.known, self.persistent = known, persistent
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def step(self, code: str, argument: Any) -> None:
        if code in _VALUES:
            self.stack.append(argument)
        elif code in _MADE:
            self.stack.append(_MADE[code]())
        else:
            method = getattr(self, f"_{code.lower()}", None)
            if method is None:
                raise Refused(f"has the instruction {code}, which no weights need")
            method(argument)

    def _marked(self) -> list[Any]:
        items, self.stack = self.stack, self.marks.pop()
        return items

    def _mark(self, _: Any) -> None:
        self.marks.append(self.stack)
        self.stack = []

    def _pop(self, _: Any) -> None:
        if self.stack:
            self.stack.pop()
        else:
            self._marked()

    def _pop_mark(self, _: Any) -> None:
        self._marked()

    def _dup(self, _: Any) -> None:
        self.stack.append(self.stack[-1])

    def _proto(self, _: Any) -> None:
        pass

    _frame = _proto

    def _put(self, argument: int) -> None:
        self.memo[argument] = self.stack[-1]

    _binput = _long_binput = _put

    def _memoize(self, _: Any) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def _get(self, argument: int) -> None:
        self.stack.append(self.memo[argument])

    _binget = _long_binget = _get

    def _tuple(self, _: Any) -> None:
        items = self._marked()
        self.stack.append(tuple(items))

    def _tuple1(self, _: Any) -> None:
        self._last(1)

    def _tuple2(self, _: Any) -> None:
        self._last(2)

    def _tuple3(self, _: Any) -> None:
        self._last(3)

    def _last(self, count: int) -> None:
        if len(self.stack) < count:
            raise ValueError("the stack is empty")
        self.stack[-count:] = [tuple(self.stack[-count:])]

    def _list(self, _: Any) -> None:
        items = self._marked()
        self.stack.append(items)

    _frozenset = _list

    def _dict(self, _: Any) -> None:
        items = self._marked()
        self.stack.append(dict(_pairs(items)))

    def _append(self, _: Any) -> None:
        self._extend([self.stack.pop()])

    def _appends(self, _: Any) -> None:
        self._extend(self._marked())

    _additems = _appends

    def _extend(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is list:
            target.extend(items)
        elif not isinstance(target, Record):
            raise ValueError("no list to add to")

    def _setitem(self, _: Any) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._update([key, value])

    def _setitems(self, _: Any) -> None:
        self._update(self._marked())

    def _update(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is dict:
            target.update(_pairs(items))
        elif not isinstance(target, Record):
            raise ValueError("no dict to set")

    def _global(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self.stack.append(Name(module, name))

    def _stack_global(self, _: Any) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        if not (isinstance(name, str) and isinstance(module, str)):
            raise ValueError("a name is no string")
        self.stack.append(Name(module, name))

    def _reduce(self, _: Any) -> None:
        args, kind = self.stack.pop(), self.stack.pop()
        self.stack.append(self._called(kind, args))

    _newobj = _reduce

    def _newobj_ex(self, _: Any) -> None:
        self.stack.pop()
        self._reduce(None)

    def _inst(self, argument: str) -> None:
        args = self._marked()
        self._global(argument)
        self.stack.append(self._called(self.stack.pop(), tuple(args)))

    def _obj(self, _: Any) -> None:
        kind, *args = self._marked()
        self.stack.append(self._called(kind, tuple(args)))

    def _called(self, kind: Any, args: Any) -> Any:
        if not (isinstance(kind, Name) and isinstance(args, tuple)):
            raise ValueError("calls what is no function")
        if call := self.known.get((kind.module, kind.name)):
            return call(*args)
        if kind.module in ("copyreg", "copy_reg") and args and isinstance(args[0], Name):
            return self._called(args[0], ())  # an object of that class, yet empty
        # By convention a class begins with a capital; an object of a class that is not here does nothing.
        library = kind.module.partition(".")[0] in _LIBRARIES
        library |= kind.module in ("builtins", "__builtin__") and kind.name in _BUILT_IN
        if not library and ("." in kind.name or not kind.name.lstrip("_")[:1].isupper()):
            raise Refused(f"asks for {kind}, which no weights need: nothing of it was run")
        return Record(kind, args)

    def _build(self, _: Any) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if hasattr(type(target), "build"):
            target.build(state)
        elif type(target) is not dict:  # an OrderedDict's attributes: torch notes versions there
            raise ValueError("gives a state to what has none")

    def _persid(self, argument: str) -> None:
        self.stack.append(argument)
        self._binpersid(None)

    def _binpersid(self, _: Any) -> None:
        if self.persistent is None:
            raise Refused("asks for something outside of itself: nothing of it was run")
        self.stack.append(self.persistent(self.stack.pop()))


def _pairs(items: list[Any]) -> Iterator[tuple[Any, Any]]:
    """Keys and values; a key that may take for ever to hash (tuples of tuples of the same tuples) is left out."""
    for key, value in zip(items[::2], items[1::2], strict=True):
        if isinstance(key, _KEYS):
            yield key, value


_NUMBERS = ("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT")
_TEXTS = ("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8")
_VALUES = frozenset((*_NUMBERS, *_TEXTS, "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"))
_MADE: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_SET": list,
    "EMPTY_DICT": dict,
    "EMPTY_TUPLE": tuple,
}
