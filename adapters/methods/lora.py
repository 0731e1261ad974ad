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
from adapters.options import methods as options

PEFT_PREFIX = "base_model.model."  # what PeftModel, which wraps twice, has before every name


@dataclass(frozen=True)
class Lora(options.Lora, Method):
    """LoRA through peft."""

    def attach(self, backbone: Backbone) -> None:
        """Put the layers into the model, in place of those of any earlier method."""
        config = self.config(backbone)
        detach(backbone)
        inject_adapter_in_model(config, backbone.model)

    def state(self, backbone: Backbone) -> dict[str, Tensor]:
        """The layers' tensors under peft's names."""
        state = get_peft_model_state_dict(backbone.model, save_embedding_layers=False)
        return {PEFT_PREFIX + name: tensor for name, tensor in state.items()}

    def restore(self, backbone: Backbone, state: dict[str, Tensor]) -> None:
        """Write a state's tensors into the layers."""
        set_peft_model_state_dict(backbone.model, state)

    def peft_config(self, backbone: Backbone, base_name: str) -> LoraConfig:
        """The configuration that peft writes beside the weights, for a base of that name."""
        config = self.config(backbone)
        architecture = type(backbone.model)
        config.target_modules = self.targets(backbone)  # a list: peft would write its set in any order
        config.base_model_name_or_path = base_name
        config.inference_mode = True
        config.auto_mapping = {"base_model_class": architecture.__name__, "parent_library": architecture.__module__}
        return config

    def config(self, backbone: Backbone) -> LoraConfig:
        """peft's options. Raises InputError for layers that the backbone has not."""
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
        """Names of the linear layers that are adapted. Raises InputError where there is none."""
        return backbone.targets(backbone.default_roles if self.roles is None else self.roles, self.layers)
