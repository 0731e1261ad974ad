"""Whether entities get a class, from which of the data's names, and how it is told."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from adapters.options.section import Options

LONGEST_NAME = 100
UNFIT_SIGNS = r"\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069<>&"
"""Controls, those of a direction of writing among them, and markup."""
NAME_SIGNS = rf"^[^{UNFIT_SIGNS}=@+\-][^{UNFIT_SIGNS}]*$"
"""What begins with one of the last four a spreadsheet takes for a formula."""
NAME_RULE = f"1 to {LONGEST_NAME} signs without <, > and &, the first none of = + - @"
NAME_WANTED = f"a name of {NAME_RULE}"
ClassName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=LONGEST_NAME,
        pattern=NAME_SIGNS,
        json_schema_extra={"wanted": f"a name of {NAME_RULE}"},
    ),
]
"""Of a class: a line without markup."""
NameInData = Annotated[str, Field(min_length=1, max_length=1000)]
"""Of a class of the data, which may be any."""
MOST_CLASSES, MOST_EXAMPLES = 200, 128
"""MOST_EXAMPLES: of a class, that are kept: what is strange is told by them, and a file stays small."""
SHAPE_NUMBERS = 9
"""What is said of an entity's shape."""
LabellerKind = Literal["linear", "prototypes", "knn"]


def in_words(value: Any) -> Any:
    """A map of classes whose names in the data are whole numbers, as YAML reads `{1: scratch}`, as text."""
    if not isinstance(value, dict):
        return value
    return {str(name) if type(name) is int else name: target for name, target in value.items()}


ClassMap = Annotated[dict[NameInData, ClassName], Field(max_length=1000), BeforeValidator(in_words)]


def may_be_class(name: str) -> bool:
    """Whether a class of an adapter may have a name: `NAME_RULE`, and no control."""
    return 0 < len(name) <= LONGEST_NAME and re.fullmatch(NAME_SIGNS, name) is not None


@dataclass(frozen=True)
class LabelOptions(Options):
    """Classes of entities, learnt after the entities where the data have two or more."""

    SOURCE: ClassVar[str] = "labels."

    kind: LabellerKind | Literal["none"] = "linear"
    """`linear` is logistic regression, `prototypes` the mean of each class's examples, `knn` the examples themselves;
    `none` leaves entities without a class."""
    map: ClassMap | None = None
    """Class of the data to class of the adapter, such as `{tumour: neoplastic}`; those that are not named are left
    out. null: all, by their own names."""
    keep: Annotated[float, Field(ge=0.5, le=1)] = 0.95
    """Share of the validation entities that stay within their classes; the strangest of all others are `unknown`."""


@dataclass(frozen=True, kw_only=True)
class LabelInfo(Options):
    """The labeller of an adapter, short of its numbers."""

    SOURCE: ClassVar[str] = "labels."

    kind: LabellerKind
    vocabulary: Annotated[tuple[ClassName, ...], Field(min_length=2, max_length=MOST_CLASSES, strict=False)]
    width: Annotated[int, Field(ge=1, le=1024)]
    """Directions of the space in which entities are told apart."""
    examples: Annotated[int, Field(ge=2, le=MOST_EXAMPLES * MOST_CLASSES)]
    """Entities that are kept as what a class looks like."""
    temperature: Annotated[float, Field(ge=1e-4, le=1e4)]
    farthest: Annotated[float, Field(ge=0, le=1e6)] | None
    """From this distance on an entity is `unknown`; null: none is."""
    accuracy: Annotated[float, Field(ge=0, le=1)] | None = None
    """Mean share of each class that is labelled right, of true outlines that it did not learn from; null: not known."""

    def check_agreement(self) -> None:
        """Raises InputError for a class that is there twice, and for the name of what is none of them."""
        if len(set(self.vocabulary)) < len(self.vocabulary):
            raise self.wrong("vocabulary", "wanted each class once")
        if "unknown" in self.vocabulary:
            raise self.wrong("vocabulary", "'unknown' is what is none of the classes; give that class another name")
