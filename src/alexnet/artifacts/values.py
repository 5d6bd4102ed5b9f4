"""The types that cards and run files are made of: strict scalars with bounds, so that no file can make us allocate."""

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, StrictBool, ValidationError, WithJsonSchema

from alexnet.errors import InputError

MAX_SIDE = 4096
"""Pixels: the largest side that a recipe's data.resize may ask for."""
MAX_CLASSES = 100_000


def _text(most: int) -> tuple[PlainValidator, WithJsonSchema]:
    """Strings of at most `most` characters. Names of files that are not UTF-8 hold lone surrogates, which pydantic's
    own string type refuses."""

    def check(value: object) -> str:
        if not isinstance(value, str):
            raise ValueError("Input should be a string")
        if len(value) > most:
            raise ValueError(f"String should have at most {most} characters")
        return value

    return PlainValidator(check), WithJsonSchema({"type": "string", "maxLength": most})


Text = Annotated[str, *_text(1000)]
LongText = Annotated[str, *_text(4096)]
Flag = StrictBool
Count = Annotated[int, Field(strict=True, ge=0, le=2**53)]
Side = Annotated[int, Field(strict=True, ge=1, le=MAX_SIDE)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Fraction = Annotated[float, Field(strict=True, ge=0, le=1)]
Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
"""SHA-256, hexadecimal."""


class Value(BaseModel):
    """A frozen value that knows all its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def to_json(self) -> dict[str, Any]:
        """The value as JSON's types (tuples stand for lists)."""
        return self.model_dump()

    @classmethod
    def parse(cls, content: object, origin: str) -> Self:
        """The value that JSON's `content` holds. InputError names `origin`, the first wrong field and what is wrong."""
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            raise InputError(f"{origin}: {problem(error)}") from None


def problem(error: ValidationError) -> str:
    """The first of pydantic's errors in a few words: the field and what it should be."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    field = ".".join(map(str, first["loc"]))
    said = first["msg"].removeprefix("Value error, ")
    return f"{field}: {said}" if field else said
