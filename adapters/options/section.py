"""What a section of options is: a frozen dataclass whose fields say their ranges, and which is never out of them.

A recipe, an adapter's `entity.json`, the editor's schema and the documentation read these classes through pydantic's
`TypeAdapter`. Made in code they are plain dataclasses, which check the same ranges. Nothing here imports torch.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from inspect import cleandoc, getsource
from itertools import pairwise
from textwrap import dedent
from typing import Any, ClassVar, TypeVar, get_type_hints

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, TypeAdapter, ValidationError, create_model
from pydantic_core import CoreSchema

from adapters.options.explain import OptionError, explain
from domains.errors import InputError

CONFIG = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True)


@dataclass(frozen=True)
class Options:
    """A section: strict, and without room for a key that it does not know."""

    __pydantic_config__: ClassVar[ConfigDict] = CONFIG
    SOURCE: ClassVar[str] = ""
    """What opens the line on an option that is wrong, where it was not read from a file."""

    def __post_init__(self) -> None:
        """Raises InputError, in one line, for options out of range or at odds with each other."""
        kind = type(self)
        try:
            ranges_of(kind).model_validate({field.name: getattr(self, field.name) for field in fields(self)})
        except ValidationError as error:
            raise InputError(self.SOURCE + explain(error, ranges_of(kind).model_json_schema())) from error
        self.check_agreement()

    def check_agreement(self) -> None:
        """Raises InputError for options that are each in range and do not go together."""

    def wrong(self, option: str, reason: str) -> OptionError:
        """The error of an option that does not go with others: what it is, and the reason, which says what it should
        be."""
        return OptionError(self.SOURCE, option, getattr(self, option), reason)

    def options(self) -> dict[str, Any]:
        """The fields and their values, without `name`."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name != "name"}

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Strict are the fields; the section itself may come as a mapping."""
        schema: Any = {**handler(source), "strict": False}
        return schema


Kind = TypeVar("Kind", bound=Options)


def checked(kind: type[Kind], values: Mapping[str, Any], source: str = "") -> Kind:
    """The options that the values spell. Raises InputError in one line that opens with `source`."""
    try:
        return adapter_of(kind).validate_python(dict(values))
    except ValidationError as error:
        raise InputError(source + explain(error, schema_of(kind))) from error


def values_of(options: Options, **settings: Any) -> dict[str, Any]:
    """The options as JSON has them: lists for tuples, mappings for sections. settings: `exclude`, `exclude_none`."""
    return adapter_of(type(options)).dump_python(options, mode="json", **settings)


@cache
def adapter_of(kind: type[Kind]) -> TypeAdapter[Kind]:
    """What reads and writes the options of a class."""
    return TypeAdapter(kind)


@cache
def schema_of(kind: type[Options]) -> dict[str, Any]:
    """JSON Schema of the options of a class; not to be changed by who gets it."""
    return adapter_of(kind).json_schema()


def sentences_of(kind: type[Any]) -> dict[str, str]:
    """What the source of a class says below each of its fields, inherited ones too; nothing where there is no source.

    pydantic reads those of a class that stands in a file; this serves one that is put together of several.
    """
    sentences: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        try:
            (tree,) = ast.parse(dedent(getsource(base))).body
        except (OSError, TypeError, SyntaxError, ValueError):
            continue
        assert isinstance(tree, ast.ClassDef)
        for option, line in pairwise(tree.body):
            match option, line:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(sentence))):
                    sentences[name] = cleandoc(sentence)
    return sentences


@cache
def ranges_of(kind: type[Options]) -> type[BaseModel]:
    """The ranges of a class alone: what checks an object that is being made, without making another."""
    hints = get_type_hints(kind, include_extras=True)
    members: dict[str, Any] = {field.name: (hints[field.name], ...) for field in fields(kind)}
    # without the sentences of the fields, for which pydantic reads the source of every class
    return create_model(kind.__name__, __config__=CONFIG | {"use_attribute_docstrings": False}, **members)
