"""A model in the Hub's layout: config.json, model.safetensors, preprocessor_config.json."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import AutoConfig, PreTrainedConfig, PreTrainedModel
from transformers.utils import logging

from adapters.backbones.backbone import IMAGENET_MEAN, IMAGENET_STD, Backbone, inside
from domains.errors import InputError

LAYOUT = "wanted a folder with config.json and model.safetensors, as on the Hub"


def read_config(folder: Path) -> PreTrainedConfig:
    """The configuration in a folder of the Hub's layout. Raises InputError where there is none or it is damaged."""
    if not (folder / "config.json").is_file():
        raise InputError(f"{folder} has no config.json: {LAYOUT}")
    try:
        return AutoConfig.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, TypeError, KeyError, StrictDataclassError) as error:
        raise InputError(f"{folder / 'config.json'} is not a model configuration: {first_line(error)}") from error


def read_normalisation(folder: Path) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel of pixels in [0, 1]; ImageNet's where the folder says none."""
    path = folder / "preprocessor_config.json"
    if not path.is_file():
        return IMAGENET_MEAN, IMAGENET_STD
    try:
        settings = json.loads(path.read_text("utf-8"))
        if not settings.get("do_normalize", True):
            return (0.0,) * 3, (1.0,) * 3
        mean = tuple(float(value) for value in settings.get("image_mean") or IMAGENET_MEAN)
        std = tuple(float(value) for value in settings.get("image_std") or IMAGENET_STD)
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is not a preprocessor configuration: {first_line(error)}") from error
    if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
        raise InputError(f"{path} has image_mean {mean} and image_std {std}; wanted three values each, std above 0")
    return mean, std


def load(
    folder: Path, architecture: type[PreTrainedModel], config: PreTrainedConfig
) -> tuple[PreTrainedModel, dict[str, Any]]:
    """The model in float32, and transformers' report of what didn't fit. Pickled weights are never read."""
    if not any(folder.glob("model*.safetensors")):
        pickled = " (pickled weights are not read: convert them)" if any(folder.glob("*.bin")) else ""
        raise InputError(f"{folder} has no model.safetensors{pickled}: {LAYOUT}")
    try:
        with quiet():
            return architecture.from_pretrained(  # type: ignore[return-value]
                folder,
                config=config,
                dtype=torch.float32,
                attn_implementation="sdpa",
                use_safetensors=True,
                local_files_only=True,
                ignore_mismatched_sizes=True,  # reported, and refused by `check_complete`
                output_loading_info=True,
            )
    except (OSError, SafetensorError, RuntimeError, ValueError) as error:
        raise InputError(f"{folder}: the weights cannot be read: {first_line(error)}") from error


def check_complete(folder: Path, backbone: Backbone, report: dict[str, Any]) -> None:
    """Every tensor of the base comes from the file and fits; heads that the base doesn't use may be left over."""
    refuse_faults(folder, report, (*backbone.stem, backbone.blocks_path, backbone.tail))


def refuse_faults(folder: Path, report: dict[str, Any], paths: Sequence[str]) -> None:
    """Raises InputError for tensors inside the modules of these paths that are missing, left over or of other shapes.
    report: as `load` has it.
    """
    faults = {
        "missing": [name for name in report["missing_keys"] if inside(name, paths)],
        "not in the model": [name for name in report["unexpected_keys"] if inside(name, paths)],
        "of another shape": [name for name, *_ in report["mismatched_keys"]],
    }
    for fault, names in faults.items():
        if names:
            examples = ", ".join(sorted(names)[:3])
            raise InputError(
                f"{folder}: config.json and weights disagree: {len(names)} tensors {fault}, such as {examples}"
            )


def save_base(backbone: Backbone, folder: Path, dtype: torch.dtype = torch.float16) -> None:
    """Write the bare base so that `backbone.name=FOLDER` and plain transformers read it again."""
    state = {name: tensor.to(dtype) for name, tensor in backbone.model.state_dict().items()}
    with quiet():
        backbone.model.save_pretrained(folder, state_dict=state)
    statistics = {"do_normalize": True, "image_mean": backbone.config()["mean"], "image_std": backbone.config()["std"]}
    (folder / "preprocessor_config.json").write_text(json.dumps(statistics, indent=2) + "\n", "utf-8")


@contextmanager
def quiet() -> Iterator[None]:
    """transformers' progress bars and load reports off: we check and report ourselves."""
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def first_line(error: BaseException) -> str:
    """The first line of an error's message, its type's name where it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
