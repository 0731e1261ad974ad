"""`entity.json`: what an adapter is, short of its weights, by the ranges of `adapters.options`; how files are read.

Nothing here imports torch, so that an adapter is shown, packed, unpacked and refused at once.
"""

from __future__ import annotations

import re
import stat
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, Strict

from adapters.options.backbone import EMBEDDED
from adapters.options.contract import InputOptions
from adapters.options.decoders import Decoder, Dense
from adapters.options.labels import LabelInfo
from adapters.options.memory_decoder import Hex, MemoryInfo
from adapters.options.methods import WHOLE_BITS, DecoderOnly, Method
from adapters.options.ranges import Blocks, Positive
from adapters.options.section import Options, adapter_of, checked
from adapters.sharing.appearances import Appearances
from adapters.sharing.learnt import LearntFrom
from adapters.sharing.texts import parse_json
from domains.errors import InputError

if TYPE_CHECKING:
    from adapters.inference.segment import InputContract

SCHEMA = 2
UNSEALED = 1
"""The schema of adapters from before there was a seal; they are read as well."""
INFO, CARD, RECIPE, PEFT = "entity.json", "README.md", "recipe.yaml", "adapter_config.json"
BACKBONE_WEIGHTS, DECODER_WEIGHTS = "adapter_model.safetensors", "entity_decoder.safetensors"
PROJECTION_WEIGHTS, STUDENT_WEIGHTS = "band_projection.safetensors", "student.safetensors"
LABEL_WEIGHTS, MEMORY_WEIGHTS = "labels.safetensors", "memory_decoder.safetensors"
TEXTS = (INFO, CARD, RECIPE, PEFT)
WEIGHTS = (BACKBONE_WEIGHTS, DECODER_WEIGHTS, PROJECTION_WEIGHTS, STUDENT_WEIGHTS, LABEL_WEIGHTS, MEMORY_WEIGHTS)
FILES = (*TEXTS, *WEIGHTS)
MAX_TEXT_BYTES = 2**20
LATER = ("learnt_from", "start", "intervals", "data_licence", "student", "appearances", "labels", "mixture", "memory")
"""Fields of `entity.json` that came after it: an adapter that has none does not name them."""
LATER_OF_METHODS = {"scope": "backbone", "init": "random", "bits": WHOLE_BITS}
"""Options of methods that came later, and what all adapters had before: where they have it, they do not name them."""
LATER_OF_DECODERS = {"granularity": None, "merging": "saddles", "description": "features"}
"""The like of decoders."""
SHAPING = ("name", "width", "detail", "embedding_dim", "queries", "dim", "layers", "heads", "mask_stride")
"""Options of decoders by which weights have their shapes."""
OF_BRANCH = ("method", "start", "probe")
"""Fields of an adapter that each member of a mixture has for itself, where its decoder is a branch of its own."""
OF_MEMBER = ("domain", "data", "input", "decoder", "metrics", "intervals", "appearances")
"""Fields of an adapter that each member of a mixture has for itself."""
MAX_PROBE = 64 * 16
AGAIN = "get the adapter again"

Triple = Annotated[tuple[float, float, float], Strict(False)]
Word = Annotated[str, Field(max_length=1000)]
Interval = Annotated[tuple[float, float], Strict(False)]
Intervals = Annotated[dict[Word, Interval | None], Field(max_length=200)]
Metrics = Annotated[dict[Word, float | None], Field(max_length=200)]
Probe = Annotated[tuple[float, ...], Strict(False), Field(min_length=1, max_length=MAX_PROBE)]


@dataclass(frozen=True, kw_only=True)
class Base(Options):
    """The frozen model that an adapter was made for: `Backbone.config`."""

    SOURCE: ClassVar[str] = "backbone."

    name: Annotated[str, Field(min_length=1, max_length=1000)]
    revision: Annotated[str, Field(pattern=r"^[\w./-]{1,200}$")] | None = None
    family: Literal["dinov2", "sam"]
    model_type: Word
    dim: Annotated[int, Field(ge=1, le=8192)]
    depth: Annotated[int, Field(ge=1, le=128)]
    stride: Annotated[int, Field(ge=1, le=64)]
    taps: Blocks
    mean: Triple
    std: Annotated[tuple[Positive, Positive, Positive], Strict(False)]

    def check_agreement(self) -> None:
        """Raises InputError for a revision of what is no Hub id, and for taps that are not blocks in their order."""
        if self.revision is not None and not re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", self.name):
            raise self.wrong("revision", f"wanted null, as backbone.name is {self.name!r:.80}, which is no Hub id")
        if list(self.taps) != sorted(set(self.taps)) or self.taps[-1] > self.depth:
            raise self.wrong("taps", f"wanted different blocks from 1 to {self.depth}, in their order")

    @property
    def is_local(self) -> bool:
        """Whether it was a folder or a file of the maker's machine: a Hub id has a commit."""
        return self.name not in EMBEDDED and self.revision is None

    @property
    def bare_name(self) -> str:
        """The name without the folders that it lay in."""
        return last_step(self.name) if self.is_local else self.name


@dataclass(frozen=True, kw_only=True)
class DecoderStart(Options):
    """The pretrained decoder of the base that an adapter's updates belong to."""

    SOURCE: ClassVar[str] = "start."

    kind: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,40}$")] | None
    digest: Hex


@dataclass(frozen=True, kw_only=True)
class StudentInfo(Options):
    """What the student of an adapter is, short of its weights; how it sees a scene is the adapter's `input`."""

    SOURCE: ClassVar[str] = "student."

    decoder: Dense
    """How its fields become entities, by thresholds of its own."""
    probe: Probe


@dataclass(frozen=True, kw_only=True)
class MixtureMember(Options):
    """One of several domains of an adapter: how it sees their images, and what it makes entities by."""

    SOURCE: ClassVar[str] = "mixture."

    domain: Word
    data: Word
    input: InputOptions
    decoder: Decoder
    metrics: Annotated[dict[Word, Metrics], Field(max_length=20)] = field(default_factory=dict)
    intervals: Annotated[dict[Word, Intervals], Field(max_length=20)] | None = None
    appearances: Appearances | None = None
    branch: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,39}$")] | None = None
    """The first of the members that it shares its decoder with, by which the weights of that are called; None where all
    members share one."""
    method: Method | None = None
    """Of the branch; None where all share one decoder."""
    start: DecoderStart | None = None
    """Of the branch, as the adapter's `start`."""
    probe: Probe | None = None
    """Of the branch, as the adapter's `probe`."""

    @property
    def absent(self) -> dict[str, Any]:
        """Fields that it does not name, as `AdapterInfo.absent`."""
        fields: dict[str, Any] = {name: True for name in ("branch", *OF_BRANCH) if getattr(self, name) is None}
        fields["decoder"] = former_of(self.decoder, LATER_OF_DECODERS)
        if self.method is not None:
            fields["method"] = former_of(self.method, LATER_OF_METHODS)
        if not self.input.context:
            fields["input"] = {"context": True}
        return fields


@dataclass(frozen=True, kw_only=True)
class AdapterInfo(Options):
    """`entity.json`: what an adapter is, short of its weights."""

    schema_version: int = SCHEMA
    backbone: Base
    fingerprint: Hex
    method: Method
    decoder: Decoder
    input: InputOptions
    domain: Word
    data: Word
    card_digest: Word | None = None
    metrics: Annotated[dict[Word, Metrics], Field(max_length=20)] = field(default_factory=dict)
    """Split and state ("before", "after", "student") -> metric -> value; None where undefined."""
    intervals: Annotated[dict[Word, Intervals], Field(max_length=20)] | None = None
    """State -> metric -> 95 % interval over resampled groups, None where undefined; None in adapters from before."""
    data_licence: Word | None = None
    """Of the images that it learnt from, as their card has it; None where that is not known."""
    start: DecoderStart | None = None
    """The pretrained decoder underneath the updates; None where all of the decoder is in the file."""
    learnt_from: LearntFrom | None = None
    """Digests of the images that it learnt from; None in an adapter from before they were noted, or of no folder."""
    appearances: Appearances | None = None
    """How images look that it was fitted on; None in an adapter from before that was noted."""
    probe: Probe
    student: StudentInfo | None = None
    """Of the network that predicts in its place by `--fast`; None in an adapter without one."""
    labels: LabelInfo | None = None
    """Of what gives entities their class; None in an adapter whose entities have none."""
    mixture: Annotated[dict[Word, MixtureMember], Field(min_length=2, max_length=24)] | None = None
    """The domains of an adapter that was fitted to several, by name; None in an adapter of one. `input` and `decoder`
    are those of the first, of which the others share all that weights depend on."""
    memory: MemoryInfo | None = None
    """Of the memory decoder that was fitted to its images; None in an adapter without one."""
    digest: Hex | None = None
    """The seal: of this file and of those that decide a prediction."""

    @property
    def contract(self) -> InputContract:
        """What prediction goes by; imports torch, which nothing else here does."""
        from adapters.inference.segment import InputContract

        return InputContract(**self.input.options())

    def json_text(self) -> str:
        """`entity.json` as it is written."""
        return adapter_of(AdapterInfo).dump_json(self, indent=2, exclude=self.absent).decode() + "\n"

    def check_agreement(self) -> None:
        """Raises InputError for updates of a decoder without the one underneath, or the other way round, and where the
        members of a mixture do not fit together.
        """
        check_start(self.method, self.start, "")
        for name, member in (self.mixture or {}).items():
            self.check_branch(name, member)
            for option in SHAPING:
                asked, shared = getattr(member.decoder, option, None), getattr(self.decoder, option, None)
                if asked != shared:
                    raise InputError(f"mixture.{name}.decoder.{option} is {asked!r}; that of all is {shared!r}")
            if member.input.bands != self.input.bands:
                raise InputError(f"mixture.{name}.input.bands are others than the adapter's")

    def check_branch(self, name: str, member: MixtureMember) -> None:
        """Raises InputError for a member whose decoder is none of the adapter's, or is said to be another thing than by
        those who share it. name: of the member.
        """
        assert self.mixture is not None
        stated = [getattr(member, option) is not None for option in ("branch", "method", "probe")]
        if any(stated) != self.is_branched or any(stated) != all(stated):
            raise InputError(f"mixture.{name} has not all of branch, method and probe, or others have none")
        if member.branch is None or member.method is None:
            return
        check_start(member.method, member.start, f"mixture.{name}.")
        lead = self.mixture.get(member.branch)
        if lead is None or lead.branch != member.branch:
            raise InputError(f"mixture.{name}.branch is {member.branch!r}, which is no branch")
        for option in OF_BRANCH:
            if getattr(lead, option) != getattr(member, option):
                raise InputError(f"mixture.{name}.{option} is another than that of {member.branch!r}, its branch")
        if member.method.in_backbone and not isinstance(member.method, DecoderOnly):
            raise InputError(f"mixture.{name}.method.name is {member.method.name!r}, which is no method of a branch")

    @property
    def is_branched(self) -> bool:
        """Whether it is a mixture in which decoders are not shared by all."""
        return any(member.branch is not None for member in (self.mixture or {}).values())

    @property
    def branches(self) -> list[str | None]:
        """The branches of its decoder; [None] where it has one decoder."""
        return [*dict.fromkeys(member.branch for member in (self.mixture or {}).values())] or [None]

    @property
    def absent(self) -> dict[str, Any]:
        """Fields that an adapter without them does not name, as the seals of older ones have it; for pydantic."""
        fields: dict[str, Any] = {name: True for name in LATER if getattr(self, name) is None}
        fields["method"] = former_of(self.method, LATER_OF_METHODS)
        fields["decoder"] = former_of(self.decoder, LATER_OF_DECODERS)
        if self.student is not None:
            fields["student"] = {"decoder": former_of(self.student.decoder, LATER_OF_DECODERS)}
        if not self.input.context:
            fields["input"] = {"context": True}
        if self.mixture is not None:
            fields["mixture"] = {name: member.absent for name, member in self.mixture.items()}
        return fields

    def of_member(self, name: str) -> AdapterInfo:
        """What a member of the mixture would say of itself, were it alone; unsealed. name: one of `mixture`."""
        assert self.mixture is not None
        member = self.mixture[name]
        alone = {option: getattr(member, option) for option in OF_MEMBER}
        if member.branch is not None:
            alone |= {option: getattr(member, option) for option in OF_BRANCH}
        return replace(self, **alone, card_digest=None, mixture=None, digest=None)


def check_start(method: Method, start: DecoderStart | None, prefix: str) -> None:
    """Raises InputError for updates of a decoder without the one underneath, or the other way round."""
    if method.in_decoder != (start is not None):
        raise InputError(
            f"{prefix}start is {'there' if start else 'null'}; the method says that the decoder is "
            f"{'updated' if method.in_decoder else 'whole'}"
        )


def former_of(section: Options, later: dict[str, Any]) -> set[str]:
    """Options of a section that came later, where it has what all had before."""
    return {name for name, former in later.items() if getattr(section, name, "") == former}


def parse_info(text: str, source: str) -> AdapterInfo:
    """`entity.json` alone. Raises InputError."""
    try:
        values = parse_json(text, source)
    except InputError as error:
        raise InputError(f"{source} is damaged ({str(error).removeprefix(f'{source}: ')}); {AGAIN}") from error
    if not isinstance(values, dict) or "schema_version" not in values:
        raise InputError(f"{source} is damaged (it has no schema_version); {AGAIN}")
    version = values["schema_version"]
    if type(version) is not int or version not in (UNSEALED, SCHEMA):
        raise InputError(f"{source} has schema {version!r:.80}, this version reads {SCHEMA}; update entity-adapters")
    if ("digest" in values) != (version != UNSEALED):
        raise InputError(f"{source}: schema {version} {'lacks' if version == SCHEMA else 'has'} a digest; {AGAIN}")
    try:
        return checked(AdapterInfo, values, f"{source}: ")
    except InputError as error:
        raise InputError(f"{error}; {AGAIN}, or a newer version of entity-adapters") from error


def last_step(path: str) -> str:
    """The last word of a path of any system."""
    return re.split(r"[\\/]", path.rstrip("\\/"))[-1] or "base"


# Files


def present(folder: Path, name: str) -> bool:
    """Whether the folder holds the file. Raises InputError for a link, a pipe or a folder of that name."""
    try:
        mode = (folder / name).lstat().st_mode
    except FileNotFoundError:
        return False
    if not stat.S_ISREG(mode):
        kind = "a link" if stat.S_ISLNK(mode) else "no plain file"
        raise InputError(
            f"{str(folder / name)!r} is {kind}; wanted the file itself, inside the folder: copy what it points to"
        )
    return True


def read_text(folder: Path, name: str) -> str:
    """A text of an adapter. Raises InputError: too large, or not UTF-8."""
    path = folder / name
    size = path.stat().st_size
    if size > MAX_TEXT_BYTES:
        raise InputError(f"{str(path)!r} has {size} bytes; wanted at most {MAX_TEXT_BYTES}; {AGAIN}")
    return decoded(path.read_bytes(), repr(str(path)))


def decoded(content: bytes, source: str) -> str:
    """The text of UTF-8. Raises InputError that opens with `source`."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{source} is damaged (byte {error.start} is no UTF-8); {AGAIN}") from error
