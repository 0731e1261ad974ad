"""Every method of peft, by its configuration: what is put beside which layers of a frozen backbone.

Injected into the inner transformers model, so that plain peft loads the result. LoRA (Hu et al.,
https://arxiv.org/abs/2106.09685) puts a low-rank update beside a linear layer,

    y = W x + s B A x      A (r, in) random, B (out, r) zero, s = alpha / r, or alpha / sqrt(r) with rsLoRA

rsLoRA: Kalajdzievski, https://arxiv.org/abs/2312.03732; DoRA: Liu et al., https://arxiv.org/abs/2402.09353; of the
others, `adapters.options.peft_methods` says in a line what each does, and peft's documentation names its paper.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import peft.tuners.boft.layer as boft_layer
import torch
from peft import PeftConfig, get_peft_model_state_dict, set_peft_model_state_dict
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING, PEFT_TYPE_TO_TUNER_MAPPING
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor

from adapters.backbones import Backbone
from adapters.decoders import Decoder
from adapters.methods.decoder_update import adapt_kernels, check_pretrained
from adapters.methods.method import Method, detach
from adapters.options.lora import Lora, PeftOptions
from adapters.options.peft_methods import Ia3, LnTuning, OtherPeft
from domains.errors import InputError, suggest

logger = logging.getLogger(__name__)

PEFT_PREFIX = "base_model.model."  # what PeftModel, which wraps twice, has before every name
FRESH_TOLERANCE = 1e-4
"""Of the largest output of a layer, between what it gives with fresh weights beside it and without."""
IA3_ROLES = ("k", "v", "qkv", "mlp_out")
"""As its paper has it: keys, values and the last layer of an MLP."""


class PeftMethod(PeftOptions, Method):
    """A method of peft. Which one, and by what numbers, its options say."""

    def attach(self, backbone: Backbone) -> None:
        """Put the layers into the model, in place of those of any earlier method.

        Raises InputError for layers that the backbone has not, for a method that peft has not, or that cannot be put
        beside these layers, or whose fresh weights change what they give; the backbone is then bare.
        """
        if not self.in_backbone:
            detach(backbone)
            return
        config = self.config(backbone)
        detach(backbone)
        if isinstance(self, OtherPeft):
            logger.warning("method.type=%s is peft's own and not tested here: look at what comes of it", self.peft_type)
        tuner = PEFT_TYPE_TO_TUNER_MAPPING.get(config.peft_type)  # type: ignore[arg-type]  # a text or its own word
        try:
            if tuner is None:
                raise ValueError("it is not for layers of a network")
            with quiet():
                tuner(backbone.model, config, "default")  # layers go into the model; those of VeRA share what it makes
            check_fresh(backbone)
        except Exception as error:  # peft raises anything: what it is given may come from a stranger's adapter
            detach(backbone)
            reason = " ".join(str(error).split())
            raise InputError(f"method.name={self.label} does not fit {backbone.name}: {reason:.300}") from error

    def adapt_decoder(self, decoder: Decoder) -> None:
        """Low-rank updates of the kernels of a pretrained decoder, where LoRA is to have them. Raises InputError for a
        decoder that was not pretrained with the base.
        """
        if not isinstance(self, Lora) or not self.in_decoder:
            return
        check_pretrained(decoder, "scope", self.scope, "backbone")
        adapt_kernels(decoder, self.rank, self.scale)

    @property
    def label(self) -> str:
        """The name, and the type where the name says little."""
        return f"{self.name} method.type={self.peft_type}" if isinstance(self, OtherPeft) else self.name

    def state(self, backbone: Backbone) -> dict[str, Tensor]:
        """The layers' tensors under peft's names."""
        if not self.in_backbone:
            return {}
        state = get_peft_model_state_dict(backbone.model, save_embedding_layers=False)
        return {PEFT_PREFIX + name: tensor for name, tensor in state.items()}

    def restore(self, backbone: Backbone, state: dict[str, Tensor]) -> None:
        """Write a state's tensors into the layers. Raises InputError for whole numbers, such as SHiRA's places of
        weights, other than those drawn here: out of range they would reach outside of a tensor.
        """
        if not self.in_backbone:
            return
        present = self.state(backbone)
        for name, tensor in state.items():
            if not tensor.is_floating_point() and not torch.equal(tensor.to("cpu"), present[name].to("cpu")):
                raise InputError(f"the adapter's {name} are not those of its options; get the adapter again")
        bare = {name.removeprefix(PEFT_PREFIX): tensor for name, tensor in state.items()}
        with quiet():
            set_peft_model_state_dict(backbone.model, bare)

    def peft_config(self, backbone: Backbone, base_name: str) -> PeftConfig | None:
        """The configuration that peft writes beside the weights, for a base of that name; None where it has none."""
        if not self.in_backbone:
            return None
        config: Any = self.config(backbone)
        architecture = type(backbone.model)
        targets = self.targets(backbone)  # as a list: peft would write its sets in any order
        config.target_modules = targets
        if isinstance(self, Ia3):
            config.feedforward_modules = [name for name in targets if name in config.feedforward_modules]
        config.base_model_name_or_path = base_name
        config.inference_mode = True
        config.auto_mapping = {"base_model_class": architecture.__name__, "parent_library": architecture.__module__}
        return config

    def config(self, backbone: Backbone) -> PeftConfig:
        """peft's options. Raises InputError for layers that the backbone has not, and for words that peft has not."""
        kinds = {str(getattr(kind, "value", kind)): config for kind, config in PEFT_TYPE_TO_CONFIG_MAPPING.items()}
        if self.peft_type not in kinds:
            raise InputError(f"method.type is {self.peft_type!r}; {suggest(self.peft_type, kinds)}")
        targets = self.targets(backbone)
        settings = {**self.peft_settings(), "target_modules": targets}
        if isinstance(self, Ia3):
            settings["feedforward_modules"] = [name for name in targets if name.endswith(backbone.roles["mlp_out"])]
        try:
            with quiet():
                return kinds[self.peft_type](**settings)
        except Exception as error:
            raise InputError(f"method.settings: {' '.join(str(error).split()):.300}") from error

    def targets(self, backbone: Backbone) -> list[str]:
        """Names of the layers that are adapted. Raises InputError where there is none."""
        if isinstance(self, LnTuning):
            return [*backbone.norms(self.layers), *backbone.prompt_targets(())]
        roles = IA3_ROLES if isinstance(self, Ia3) else backbone.default_roles
        roles = roles if self.roles is None else self.roles
        return [*backbone.targets(roles, self.layers), *backbone.prompt_targets(roles)]


@contextmanager
def quiet() -> Iterator[None]:
    """What peft warns of that is as it should be: layer norms are no linear layers, projections come from their seed,
    and BOFT, which looks for a compiler for CUDA, works without.
    """
    boft_layer._FBD_CUDA = False
    torch.sparse.check_sparse_tensor_invariants.disable()  # the default, said, or SHiRA's forward pass warns of it
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@torch.no_grad()
def check_fresh(backbone: Backbone) -> None:
    """A layer with fresh weights beside it gives what it gave. Raises ValueError where it does not, or what it raises.

    Each is given tokens of the shape that its backbone has, (1, 3, D) or (1, 2, 3, D). On no device nothing is checked.
    """
    shape = (1, 3) if backbone.tokens_ndim == 3 else (1, 2, 3)
    layers = [(name, module) for name, module in backbone.model.named_modules() if isinstance(module, BaseTunerLayer)]
    layer: Any  # a module too, which peft's class does not say
    for name, layer in layers:
        base = layer.get_base_layer()
        if base.weight.device.type == "meta":
            return
        width = base.weight.shape[-1]
        tokens = torch.linspace(-1, 1, width).sin().expand(*shape, width).to(base.weight)
        learning = layer.training
        expected, output = base(tokens), layer.eval()(tokens)
        layer.train(learning)
        if (output - expected).abs().max() > FRESH_TOLERANCE * expected.abs().max().clamp_min(1):
            raise ValueError(f"{name} gives another output with fresh weights beside it than without")
