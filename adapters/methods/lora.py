"""LoRA: a low-rank update beside chosen linear layers, through peft.

    y = W x + s B A x      A (r, in) random, B (out, r) zero, s = alpha / r, or alpha / sqrt(r) with rsLoRA

Hu et al., https://arxiv.org/abs/2106.09685; rsLoRA: Kalajdzievski, https://arxiv.org/abs/2312.03732; DoRA: Liu et al.,
https://arxiv.org/abs/2402.09353. Injected into the inner transformers model, so that plain peft loads the result.
"""

from __future__ import annotations

from dataclasses import dataclass

from peft import LoraConfig, get_peft_model_state_dict, inject_adapter_in_model, set_peft_model_state_dict
from torch import Tensor

from adapters.backbones import Backbone
from adapters.methods.method import Method, detach
from domains.errors import InputError

PEFT_PREFIX = "base_model.model."  # what PeftModel, which wraps twice, has before every name


@dataclass(frozen=True)
class Lora(Method):
    """Options of LoRA. Raises InputError for values that make no adapter."""

    name: str = "lora"
    rank: int = 8
    """Width of the bottleneck; file size grows with it."""
    alpha: float | None = None
    """Weight of the update; None: twice the rank, so that its scale stays 2 when the rank changes."""
    dropout: float = 0.0
    """Share of the bottleneck's inputs dropped in training."""
    roles: tuple[str, ...] | None = None
    """Which linear layers: q k v qkv out mlp_in mlp_out; None: the backbone's default (DINOv2 all, SAM qkv and out)."""
    layers: str | tuple[int, ...] = "all"
    """Which blocks: "all" (up to the last tap), "last:4", or numbers counted from 1."""
    rslora: bool = False
    """Scale by alpha / sqrt(rank), which keeps high ranks learning."""
    dora: bool = False
    """Learn the magnitude of each output apart from its direction."""

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise InputError(
                f"method.rank is {self.rank!r}; wanted 1 or more (for no adapter: method.name=decoder_only)"
            )
        if self.alpha is not None and self.alpha <= 0:
            raise InputError(f"method.alpha is {self.alpha!r}; wanted more than 0, or null for twice the rank")
        if not 0 <= self.dropout < 1:
            raise InputError(f"method.dropout is {self.dropout!r}; wanted 0 or more and less than 1")

    def attach(self, backbone: Backbone) -> None:
        config = self.config(backbone)
        detach(backbone)
        inject_adapter_in_model(config, backbone.model)

    def state(self, backbone: Backbone) -> dict[str, Tensor]:
        state = get_peft_model_state_dict(backbone.model, save_embedding_layers=False)
        return {PEFT_PREFIX + name: tensor for name, tensor in state.items()}

    def restore(self, backbone: Backbone, state: dict[str, Tensor]) -> None:
        set_peft_model_state_dict(backbone.model, state)

    def peft_config(self, backbone: Backbone, base_name: str) -> LoraConfig:
        config = self.config(backbone)
        architecture = type(backbone.model)
        config.target_modules = self.targets(backbone)  # a list: peft would write its set in any order
        config.base_model_name_or_path = base_name
        config.inference_mode = True
        config.auto_mapping = {"base_model_class": architecture.__name__, "parent_library": architecture.__module__}
        return config

    def config(self, backbone: Backbone) -> LoraConfig:
        return LoraConfig(
            r=self.rank,
            lora_alpha=self.alpha or 2 * self.rank,  # type: ignore[arg-type]
            lora_dropout=self.dropout,
            target_modules=self.targets(backbone),
            use_rslora=self.rslora,
            use_dora=self.dora,
            bias="none",
        )

    def targets(self, backbone: Backbone) -> list[str]:
        return backbone.targets(backbone.default_roles if self.roles is None else self.roles, self.layers)
