"""The one interface behind which every backbone stands: images in, a pyramid of patch tokens out."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from adapters.backbones.int8 import Int8Linear
from adapters.options.backbone import ROLES
from domains.errors import InputError, suggest

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
EMBEDDING_STD = 0.02  # of random weights, as ViT, DINOv2 and SAM were trained from
Layers = str | Sequence[int]


class Backbone(nn.Module):
    """A vision transformer of `transformers`, run block by block.

    forward: images (B, 3, H, W) RGB in [0, 1], H and W multiples of `stride`
    -> one (B, D, h, w) per tap: the patch tokens after that block, h = H // stride. A tap at the last block has the
    model's final layer norm, so that it equals transformers' own `last_hidden_state`; the others are raw.

    Attributes: `name`, `model` (what peft adapts and loads), `dim` D, `depth` in blocks, `stride` in pixels, `taps`.
    Only the blocks up to the last tap are run; only those can be adapted. `attends_px`: about the side of the squares
    within which tokens attend to each other, where an image is larger than one and a half; None: to all of the image.
    """

    family: ClassVar[str]
    roles: ClassVar[Mapping[str, tuple[str, ...]]]  # role -> names inside a block; a block has some of them
    default_roles: ClassVar[tuple[str, ...]]
    tokens_ndim: ClassVar[int] = 3  # axes of the tokens that a block takes: (B, N, D), or (B, h, w, D)
    answering: Sequence[str] = ()  # names inside `model` of what answers prompts, where that is a part of the base
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        model: PreTrainedModel,
        *,
        name: str,
        revision: str | None = None,
        taps: Sequence[int] | None = None,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        gradient_checkpointing: bool = False,
        attends_px: int | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.name = name
        self.revision = revision
        self.gradient_checkpointing = gradient_checkpointing
        self.attends_px = attends_px
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1), persistent=False)
        self.taps = checked_taps(taps or self.default_taps(), self.depth)
        self.base_names = self.names_of_base()
        self.patches = Patches()
        self.originals: dict[str, Tensor] = {}  # base tensors that a method trains, as they were before it
        self.absent: tuple[str, ...] = ()  # tensors of the model that its file lacks, and the base does not use

    # what a family says about its model

    @classmethod
    def architecture(cls, config: Any) -> type[PreTrainedModel]:
        """The transformers class of a configuration of this family."""
        raise NotImplementedError

    @classmethod
    def randomised(cls, config: Any) -> PreTrainedModel:
        """A model with random weights that carry signal, drawn from torch's generator."""
        raise NotImplementedError

    @property
    def vision_config(self) -> Any:
        """The image encoder's part of the model's configuration."""
        return self.model.config

    @property
    def stem(self) -> tuple[str, ...]:
        """Names inside `model` that make tokens of an image."""
        raise NotImplementedError

    @property
    def blocks_path(self) -> str:
        """Where the list of transformer blocks lies inside `model`, as a dotted path."""
        raise NotImplementedError

    @property
    def tail(self) -> str:
        """Name of what follows the last block."""
        raise NotImplementedError

    def embed(self, pixels: Tensor) -> tuple[Tensor, dict[str, Any]]:
        """Normalised pixels to the first block's tokens, and the keyword arguments that every block takes."""
        raise NotImplementedError

    def through(self, block: nn.Module, tokens: Tensor, **context: Any) -> Tensor:
        """Tokens through one of the blocks; a family may know a faster way than the model's own."""
        return block(tokens, **context)

    def finish(self, tokens: Tensor) -> Tensor:
        """What the model does to the last block's tokens."""
        raise NotImplementedError

    def spatial(self, tokens: Tensor, height: int, width: int) -> Tensor:
        """Tokens to patch tokens (B, D, h, w)."""
        raise NotImplementedError

    @property
    def finish_path(self) -> str | None:
        """Name of the module behind `finish`, when it has one."""
        return self.tail

    def answer_prompts(self, answering: bool) -> None:
        """Let what answers prompts inside the model be a part of the base, or no more; of a bare base."""

    def prompt_targets(self, roles: Sequence[str]) -> list[str]:
        """Full names of linear layers with these roles that answer prompts; of no role at all the layer norms."""
        return []

    def default_taps(self) -> tuple[int, ...]:
        """Four blocks at equal steps up to the last, three where there are fewer than 8 blocks."""
        count = 4 if self.depth >= 8 else 3
        return tuple(sorted({round(self.depth * k / count) for k in range(1, count + 1)} - {0}))

    # what every family shares

    @property
    def dim(self) -> int:
        """The width D of tokens and features."""
        return self.vision_config.hidden_size

    @property
    def depth(self) -> int:
        """How many transformer blocks the model has."""
        return self.vision_config.num_hidden_layers

    @property
    def stride(self) -> int:
        """The side of a patch in pixels, which becomes one cell of the grid."""
        return self.vision_config.patch_size

    @property
    def blocks(self) -> nn.ModuleList:
        """The transformer blocks in their order."""
        return self.model.get_submodule(self.blocks_path)  # type: ignore[return-value]

    def forward(self, images: Tensor) -> list[Tensor]:
        """Features (B, D, h, w) of each tap, shallowest first, of images (B, 3, H, W) in [0, 1]."""
        return self.go_on(self.prefix(images, self.taps[-1]), *self.grid(images))

    def prefix(self, images: Tensor, blocks: int) -> Prefix:
        """What the first so many blocks make of images (B, 3, H, W) in [0, 1], or of their squares."""
        height, width = self.grid(images)
        squares = self._squares(height, width)
        tokens, context = self.embed(((images if squares is None else squares.cut(images)) - self.mean) / self.std)
        return self._run(Prefix(0, tokens, context, []), blocks, squares or (height, width))

    def go_on(self, prefix: Prefix, height: int, width: int) -> list[Tensor]:
        """The features of images of height x width patches, from what `prefix` made of them."""
        squares = self._squares(height, width)
        features = self._run(prefix, self.taps[-1], squares or (height, width)).features
        if squares is None:
            return features
        return [squares.joined(feature)[..., :height, :width] for feature in features]

    def _squares(self, height: int, width: int) -> Squares | None:
        """What a grid of patches is cut into, each of whose tokens attend to each other; None: it stays whole."""
        squares = None if self.attends_px is None else Squares.of(height, width, self.attends_px, self.stride)
        return None if squares is None or squares.are_one() else squares

    def _run(self, prefix: Prefix, until: int, size: Squares | tuple[int, int]) -> Prefix:
        """Go on behind a prefix to the end of block `until`. size: of the images, in patches, or of their squares."""
        height, width = (size.height, size.width) if isinstance(size, Squares) else size
        self.patches.height, self.patches.width = height, width
        tokens, features = prefix.tokens, list(prefix.features)
        for number in range(prefix.blocks + 1, until + 1):
            block = self.blocks[number - 1]
            if self.gradient_checkpointing and torch.is_grad_enabled():
                tokens = checkpoint(self.through, block, tokens, use_reentrant=False, **prefix.context)
            else:
                tokens = self.through(block, tokens, **prefix.context)
            if number in self.taps:
                tapped = self.finish(tokens) if number == self.depth else tokens  # type: ignore[arg-type]
                features.append(self.spatial(tapped, height, width))  # (B, D, h, w)
        return Prefix(max(prefix.blocks, until), tokens, prefix.context, features)

    def frozen_blocks(self) -> int | None:
        """How many blocks come before the first of which anything learns, at most those up to the last tap; None where
        what makes tokens of pixels learns.
        """
        learning = [name for name, weights in self.model.named_parameters() if weights.requires_grad]
        if any(inside(name, self.stem) for name in learning):
            return None
        paths = [[f"{self.blocks_path}.{number}"] for number in range(self.taps[-1])]
        if self.finish_path and self.taps[-1] == self.depth:
            paths[-1].append(self.finish_path)  # it runs with the last block
        return next((i for i, path in enumerate(paths) if any(inside(n, path) for n in learning)), len(paths))

    def to_int8(self) -> None:
        """Put 8-bit layers in place of the base's own linear layers in its blocks, for prediction: nothing learns then,
        and what was there is gone. Raises InputError where there is none.
        """
        layers = {
            name: module
            for name, module in self.model.named_modules()
            if isinstance(module, nn.Linear | Int8Linear)
            and f"{name.replace('.base_layer', '')}.weight" in self.base_names
            and inside(name, [self.blocks_path])
        }
        if not layers:
            raise InputError(f"--precision int8: {self.name} has no linear layers to change; leave it out")
        for name, layer in layers.items():
            if isinstance(layer, nn.Linear):
                self.model.set_submodule(name, Int8Linear(layer))

    def grid(self, images: Tensor) -> tuple[int, int]:
        """Patches down and across; raises InputError for a size that the stride doesn't divide."""
        height, width = images.shape[-2:]
        if height % self.stride or width % self.stride or not height or not width:
            below = [max(side // self.stride, 1) * self.stride for side in (height, width)]
            above = [-(-side // self.stride) * self.stride or self.stride for side in (height, width)]
            raise InputError(
                f"{self.name} has patches of {self.stride} px and wants image sides that are multiples of it; "
                f"got {height} x {width}: nearest are {below[0]} x {below[1]} and {above[0]} x {above[1]}"
            )
        return height // self.stride, width // self.stride

    def targets(self, roles: Sequence[str], layers: Layers = "all") -> list[str]:
        """Full names inside `model` of the linear layers with these roles, block by block.

        layers: "all" the blocks that are run, "last:N" the last N of them, or their numbers, counted from 1 as taps
        are. A fused `qkv` answers to q, k and v; separate ones answer to qkv. Raises InputError for an unknown role
        and for a block that does not exist or is not run.
        """
        for role in roles:
            if role not in ROLES:
                raise InputError(f"method.roles has {role!r}; {suggest(str(role), ROLES)}")
        suffixes = dict.fromkeys(suffix for role in roles for suffix in self.roles[role])
        names = []
        for number in self.numbers(layers):
            present = {name for name, _ in self.blocks[number - 1].named_modules()}
            names += [f"{self.blocks_path}.{number - 1}.{suffix}" for suffix in suffixes if suffix in present]
        if not names:
            raise InputError(f"method.roles is {tuple(roles)!r}, which names no layer; known: {', '.join(ROLES)}")
        return names

    def norms(self, layers: Layers = "all") -> list[str]:
        """Full names inside `model` of the layer norms of blocks, as `targets` has linear layers.

        Raises InputError for a block that does not exist or is not run.
        """
        return [
            f"{self.blocks_path}.{number - 1}.{name}"
            for number in self.numbers(layers)
            for name, module in self.blocks[number - 1].named_modules()
            if is_layer_norm(module) and not {"base_layer", "ln_tuning_layers"} & set(name.split("."))
        ]

    def numbers(self, layers: Layers) -> list[int]:
        """Block numbers, from 1, of a `layers` option."""
        run = list(range(1, self.taps[-1] + 1))
        if layers == "all":
            return run
        if isinstance(layers, str):
            count = layers.removeprefix("last:")
            if layers.startswith("last:") and count.isdecimal() and 1 <= int(count) <= len(run):
                return run[-int(count) :]
        elif layers and all(isinstance(number, int) and number in run for number in layers):
            return sorted(set(layers))
        raise InputError(
            f"method.layers is {layers!r}; {self.name} runs {len(run)} of its {self.depth} blocks: "
            f"write 'all', 'last:N' with N from 1 to {len(run)}, or a list of numbers from 1 to {len(run)}"
        )

    def names_of_base(self) -> tuple[str, ...]:
        """The names of the base's own parameters in a bare model, sorted."""
        paths = (*self.stem, self.blocks_path, self.tail, *self.answering)
        return tuple(sorted(n for n, _ in self.model.named_parameters() if inside(n, paths)))

    def base_parameters(self) -> dict[str, nn.Parameter]:
        """The base's own parameters by their plain names, whatever adapter is attached."""
        present = {name.replace(".base_layer", ""): p for name, p in self.model.named_parameters()}
        return {name: present[name] for name in self.base_names}

    def used_parameters(self) -> dict[str, nn.Parameter]:
        """Those of the base that `forward` passes through: what a control may train."""
        paths = [*self.stem, *(f"{self.blocks_path}.{number - 1}" for number in range(1, self.taps[-1] + 1))]
        paths += [self.finish_path] if self.finish_path and self.taps[-1] == self.depth else []
        paths += [self.tail, *self.answering] if self.answering else []
        return {name: p for name, p in self.base_parameters().items() if inside(name, paths)}

    def fingerprint(self) -> str:
        """SHA-256 over the sorted names, shapes and values of the base, as it was before any adapter.

        Values are hashed as little-endian float16, so that a base stored in half precision and its float32 original
        agree; differences below half precision are left to the adapter folder's probe.
        """
        digest = hashlib.sha256()
        for name, parameter in self.base_parameters().items():
            tensor = self.originals.get(name, parameter).detach()
            digest.update(f"{name} {tuple(tensor.shape)}\n".encode())
            digest.update(tensor.to("cpu", torch.float16).contiguous().numpy().astype("<f2", copy=False).tobytes())
        return digest.hexdigest()

    def config(self) -> dict[str, Any]:
        """What an adapter writes down about its base; JSON types only."""
        return {
            "name": self.name,
            "revision": self.revision,
            "family": self.family,
            "model_type": self.model.config.model_type,
            "dim": self.dim,
            "depth": self.depth,
            "stride": self.stride,
            "taps": list(self.taps),
            "mean": [round(value, 6) for value in self.mean.flatten().tolist()],
            "std": [round(value, 6) for value in self.std.flatten().tolist()],
        }


class Prefix(NamedTuple):
    """What the first blocks of a backbone made of images."""

    blocks: int
    tokens: Tensor
    """(B, N, D) or (B, h, w, D) behind the last of these blocks."""
    context: dict[str, Any]
    """What every block takes beside them."""
    features: list[Tensor]
    """(B, D, h, w) of each tap among these blocks."""


class Patches:
    """How many patches down and across the images have that are in a backbone now; layers of a method may ask."""

    height = width = 0


class Squares(NamedTuple):
    """An image's grid of patches, cut into rows x columns rectangles of height x width patches of `stride` pixels."""

    rows: int
    columns: int
    height: int
    width: int
    stride: int

    @classmethod
    def of(cls, height: int, width: int, side_px: int, stride: int) -> Squares:
        """Rectangles nearest to squares of side_px."""
        rows, columns = (max(1, (length * stride + side_px // 2) // side_px) for length in (height, width))
        return cls(rows, columns, -(-height // rows), -(-width // columns), stride)

    def are_one(self) -> bool:
        """Whether all of the image is in one of them."""
        return self.rows == self.columns == 1

    def cut(self, images: Tensor) -> Tensor:
        """(B rows columns, C, h, w) of images (B, C, H, W), whose last pixels are repeated where the grid is uneven."""
        height, width = self.height * self.stride, self.width * self.stride
        for axis, length in ((2, self.rows * height), (3, self.columns * width)):
            at = torch.arange(length, device=images.device).clamp(max=images.shape[axis] - 1)
            images = images.index_select(axis, at)
        batch, channels = images.shape[:2]
        x = images.reshape(batch, channels, self.rows, height, self.columns, width)
        return x.permute(0, 2, 4, 1, 3, 5).reshape(batch * self.rows * self.columns, channels, height, width)

    def joined(self, features: Tensor) -> Tensor:
        """(B, D, rows h, columns w) of features (B rows columns, D, h, w)."""
        count, dim, height, width = features.shape
        x = features.reshape(count // (self.rows * self.columns), self.rows, self.columns, dim, height, width)
        x = x.permute(0, 3, 1, 4, 2, 5)  # (B, D, rows, h, columns, w)
        return x.reshape(-1, dim, self.rows * height, self.columns * width)


def is_layer_norm(module: nn.Module) -> bool:
    """Whether a module, or what a method of peft put around it, is a layer norm."""
    return isinstance(getattr(module, "base_layer", module), nn.LayerNorm)


def inside(name: str, paths: Sequence[str]) -> bool:
    """Whether a parameter lies at one of `paths`, or in a module there."""
    return any(name == path or name.startswith(f"{path}.") for path in paths)


def checked_taps(taps: Sequence[int], depth: int) -> tuple[int, ...]:
    """The taps in order. Raises InputError unless they are different block numbers from 1 to `depth`."""
    if not all(isinstance(tap, int) and 1 <= tap <= depth for tap in taps) or len(set(taps)) < len(taps):
        raise InputError(f"backbone.taps is {list(taps)!r}; wanted different block numbers from 1 to {depth}")
    return tuple(sorted(taps))
