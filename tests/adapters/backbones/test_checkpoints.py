"""`.pth` files under the original key layouts, written out here from the original sources."""

from __future__ import annotations

import re

import pytest
import torch
import torch.nn.functional as F

from adapters.backbones import BackboneOptions, build_backbone
from adapters.backbones.folders import save_base
from domains.errors import InputError
from tests.adapters.backbones.tiny_models import tiny_images

SAM_SIZES = {  # dim, depth, heads, blocks with global attention counted from 0
    "vit_b": (768, 12, 12, (2, 5, 8, 11)),
    "vit_l": (1024, 24, 16, (5, 11, 17, 23)),
    "vit_h": (1280, 32, 16, (7, 15, 23, 31)),
}
DINOV2_SIZES = {  # dim, depth, registers, SwiGLU
    "vits14": (384, 12, 0, False),
    "vitb14": (768, 12, 0, False),
    "vitl14_reg4": (1024, 24, 4, False),
    "vitg14": (1536, 40, 0, True),
}


def linear(name, fan_out, fan_in):
    return {f"{name}.weight": (fan_out, fan_in), f"{name}.bias": (fan_out,)}


def norm(name, dim):
    return {f"{name}.weight": (dim,), f"{name}.bias": (dim,)}


def dinov2_shapes(dim, depth, registers, swiglu, grid=37):
    shapes = {"cls_token": (1, 1, dim), "pos_embed": (1, grid**2 + 1, dim), "mask_token": (1, dim)}
    if registers:
        shapes["register_tokens"] = (1, registers, dim)
    shapes |= {"patch_embed.proj.weight": (dim, 3, 14, 14), "patch_embed.proj.bias": (dim,)} | norm("norm", dim)
    hidden = (int(dim * 4 * 2 / 3) + 7) // 8 * 8
    for i in range(depth):
        block = f"blocks.{i}"
        shapes |= norm(f"{block}.norm1", dim) | norm(f"{block}.norm2", dim)
        shapes |= linear(f"{block}.attn.qkv", 3 * dim, dim) | linear(f"{block}.attn.proj", dim, dim)
        shapes |= {f"{block}.ls1.gamma": (dim,), f"{block}.ls2.gamma": (dim,)}
        if swiglu:
            shapes |= linear(f"{block}.mlp.w12", 2 * hidden, dim) | linear(f"{block}.mlp.w3", dim, hidden)
        else:
            shapes |= linear(f"{block}.mlp.fc1", 4 * dim, dim) | linear(f"{block}.mlp.fc2", dim, 4 * dim)
    return shapes


def attention_shapes(name, inner):
    sides = [linear(f"{name}.{part}_proj", inner, 256) for part in "qkv"]
    return sides[0] | sides[1] | sides[2] | linear(f"{name}.out_proj", 256, inner)


def sam_shapes(dim, depth, heads, global_blocks, grid=64, window=14):
    shapes = {"image_encoder.pos_embed": (1, grid, grid, dim)}
    shapes |= {"image_encoder.patch_embed.proj.weight": (dim, 3, 16, 16), "image_encoder.patch_embed.proj.bias": (dim,)}
    for i in range(depth):
        block = f"image_encoder.blocks.{i}"
        side = grid if i in global_blocks else window
        shapes |= norm(f"{block}.norm1", dim) | norm(f"{block}.norm2", dim)
        shapes |= {f"{block}.attn.rel_pos_{axis}": (2 * side - 1, dim // heads) for axis in "hw"}
        shapes |= linear(f"{block}.attn.qkv", 3 * dim, dim) | linear(f"{block}.attn.proj", dim, dim)
        shapes |= linear(f"{block}.mlp.lin1", 4 * dim, dim) | linear(f"{block}.mlp.lin2", dim, 4 * dim)
    neck = "image_encoder.neck"
    shapes |= {f"{neck}.0.weight": (256, dim, 1, 1), f"{neck}.2.weight": (256, 256, 3, 3)}
    shapes |= norm(f"{neck}.1", 256) | norm(f"{neck}.3", 256)
    shapes |= {"prompt_encoder.pe_layer.positional_encoding_gaussian_matrix": (2, 128)}
    shapes |= {f"prompt_encoder.point_embeddings.{i}.weight": (1, 256) for i in range(4)}
    shapes |= {f"prompt_encoder.{name}.weight": (1, 256) for name in ("not_a_point_embed", "no_mask_embed")}
    down = "prompt_encoder.mask_downscaling"
    for i, weight in {0: (4, 1, 2, 2), 1: (4,), 3: (16, 4, 2, 2), 4: (16,), 6: (256, 16, 1, 1)}.items():
        shapes |= {f"{down}.{i}.weight": weight, f"{down}.{i}.bias": (weight[0],)}
    for i in range(2):
        layer = f"mask_decoder.transformer.layers.{i}"
        shapes |= attention_shapes(f"{layer}.self_attn", 256)
        shapes |= attention_shapes(f"{layer}.cross_attn_token_to_image", 128)
        shapes |= attention_shapes(f"{layer}.cross_attn_image_to_token", 128)
        shapes |= linear(f"{layer}.mlp.lin1", 2048, 256) | linear(f"{layer}.mlp.lin2", 256, 2048)
        for number in range(1, 5):
            shapes |= norm(f"{layer}.norm{number}", 256)
    shapes |= attention_shapes("mask_decoder.transformer.final_attn_token_to_image", 128)
    shapes |= norm("mask_decoder.transformer.norm_final_attn", 256)
    shapes |= {"mask_decoder.iou_token.weight": (1, 256), "mask_decoder.mask_tokens.weight": (4, 256)}
    up = "mask_decoder.output_upscaling"
    shapes |= {f"{up}.0.weight": (256, 64, 2, 2), f"{up}.0.bias": (64,), f"{up}.3.weight": (64, 32, 2, 2)}
    shapes |= {f"{up}.3.bias": (32,)} | norm(f"{up}.1", 64)
    heads_of_mlps = {f"output_hypernetworks_mlps.{i}": 32 for i in range(4)} | {"iou_prediction_head": 4}
    for head, outputs in heads_of_mlps.items():
        for i, fan_out in enumerate((256, 256, outputs)):
            shapes |= linear(f"mask_decoder.{head}.layers.{i}", fan_out, 256)
    return shapes


def write(path, shapes, random=True):
    """Random tensors, or ones that take no room: a single zero, expanded."""
    generator = torch.Generator().manual_seed(0)
    if random:
        state = {name: 0.2 * torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    else:
        state = {name: torch.zeros(()).expand(shape) for name, shape in shapes.items()}
    torch.save(state, path)
    return state


def build(path, **settings):
    return build_backbone(BackboneOptions(name=str(path), **settings))


@pytest.mark.parametrize("size", SAM_SIZES)
def test_every_published_sam_is_recognised_and_loads_completely(tmp_path, size):
    dim, depth, heads, global_blocks = SAM_SIZES[size]
    write(tmp_path / f"sam_{size}.pth", sam_shapes(*SAM_SIZES[size]), random=False)
    backbone = build(tmp_path / f"sam_{size}.pth")
    vision = backbone.model.config.vision_config
    assert (backbone.family, backbone.dim, backbone.depth, backbone.stride) == ("sam", dim, depth, 16)
    assert (vision.num_attention_heads, vision.image_size, vision.window_size) == (heads, 1024, 14)
    assert backbone.taps == tuple(index + 1 for index in global_blocks)
    assert not any(tensor.is_meta for tensor in backbone.model.state_dict().values())


@pytest.mark.parametrize("size", DINOV2_SIZES)
def test_every_published_dinov2_is_recognised_and_loads_completely(tmp_path, size):
    dim, depth, registers, swiglu = DINOV2_SIZES[size]
    write(tmp_path / f"dinov2_{size}_pretrain.pth", dinov2_shapes(*DINOV2_SIZES[size]), random=False)
    backbone = build(tmp_path / f"dinov2_{size}_pretrain.pth")
    config = backbone.model.config
    assert (backbone.family, backbone.dim, backbone.depth, backbone.stride) == ("dinov2", dim, depth, 14)
    assert (config.num_attention_heads, config.image_size, config.use_swiglu_ffn) == (dim // 64, 518, swiglu)
    assert getattr(config, "num_register_tokens", 0) == registers
    assert not any(tensor.is_meta for tensor in backbone.model.state_dict().values())


def original_dinov2(state, pixels, depth, heads):
    """DINOv2's forward as its authors wrote it, on their own tensors, at the native size."""

    def layer(name, x):
        return F.linear(x, state[f"{name}.weight"], state[f"{name}.bias"])

    def normed(name, x):
        return F.layer_norm(x, x.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"], eps=1e-6)

    x = F.conv2d(pixels, state["patch_embed.proj.weight"], state["patch_embed.proj.bias"], stride=14)
    x = x.flatten(2).transpose(1, 2)
    batch, patches, dim = x.shape
    x = torch.cat([state["cls_token"].expand(batch, -1, -1), x], 1) + state["pos_embed"]
    if "register_tokens" in state:
        x = torch.cat([x[:, :1], state["register_tokens"].expand(batch, -1, -1), x[:, 1:]], 1)
    for i in range(depth):
        block = f"blocks.{i}"
        qkv = layer(f"{block}.attn.qkv", normed(f"{block}.norm1", x))
        q, k, v = qkv.reshape(batch, -1, 3, heads, dim // heads).permute(2, 0, 3, 1, 4)
        mixed = (q @ k.transpose(-1, -2) / (dim // heads) ** 0.5).softmax(-1) @ v
        x = x + layer(f"{block}.attn.proj", mixed.transpose(1, 2).flatten(2)) * state[f"{block}.ls1.gamma"]
        y = normed(f"{block}.norm2", x)
        if f"{block}.mlp.w12.weight" in state:
            gate, value = layer(f"{block}.mlp.w12", y).chunk(2, dim=-1)
            y = layer(f"{block}.mlp.w3", F.silu(gate) * value)
        else:
            y = layer(f"{block}.mlp.fc2", F.gelu(layer(f"{block}.mlp.fc1", y)))
        x = x + y * state[f"{block}.ls2.gamma"]
    return normed("norm", x)[:, -patches:]


@torch.no_grad()
@pytest.mark.parametrize("registers, swiglu", [(0, False), (4, False), (0, True), (4, True)])
def test_a_dinov2_checkpoint_gives_the_features_of_the_original_code(tmp_path, registers, swiglu):
    state = write(tmp_path / "dinov2.pth", dinov2_shapes(128, 3, registers, swiglu, grid=4))
    backbone = build(tmp_path / "dinov2.pth")
    images = tiny_images(backbone, 4, 4)
    expected = original_dinov2(state, (images - backbone.mean) / backbone.std, depth=3, heads=2)
    torch.testing.assert_close(backbone(images)[-1].flatten(2).transpose(1, 2), expected, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_a_sam_checkpoint_puts_every_tensor_where_it_belongs(tmp_path):
    state = write(tmp_path / "sam.pth", sam_shapes(64, 2, 2, (1,), grid=4, window=3))
    model = build(tmp_path / "sam.pth").model
    vision = model.vision_encoder
    pixels = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    patches = F.conv2d(
        pixels, state["image_encoder.patch_embed.proj.weight"], state["image_encoder.patch_embed.proj.bias"], stride=16
    )
    torch.testing.assert_close(vision.patch_embed(pixels), patches.permute(0, 2, 3, 1))
    names = [name for name in state if re.search(r"blocks\.1\.", name)]
    assert len(names) == 14
    for name in names:
        ours = name.split("blocks.1.")[1].replace("norm1", "layer_norm1").replace("norm2", "layer_norm2")
        assert torch.equal(vision.layers[1].state_dict()[ours], state[name])
    head = model.mask_decoder.output_hypernetworks_mlps[2]
    for i, layer in enumerate((head.proj_in, head.layers[0], head.proj_out)):
        assert torch.equal(layer.weight, state[f"mask_decoder.output_hypernetworks_mlps.2.layers.{i}.weight"])
    positions = state["prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"]
    assert torch.equal(model.shared_image_embedding.positional_embedding, positions)
    values = sorted(tensor.sum().item() for tensor in state.values())
    loaded = sorted(
        {name: t.sum().item() for name, t in model.state_dict().items() if "shared_image" not in name}.values()
    )
    assert values == loaded  # every tensor once


def test_a_checkpoint_and_its_folder_are_the_same_base(tmp_path):
    write(tmp_path / "dinov2.pth", dinov2_shapes(64, 2, 0, True, grid=3))
    backbone = build(tmp_path / "dinov2.pth")
    save_base(backbone, tmp_path / "folder", torch.float32)
    assert build(tmp_path / "folder").fingerprint() == backbone.fingerprint()
    assert build(tmp_path / "dinov2.pth", random=True).fingerprint() != backbone.fingerprint()


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda s: s.pop("blocks.1.mlp.fc1.bias"), r"1 tensors missing, such as encoder.layer.1.mlp.fc1.bias"),
        (lambda s: s.update({"head.weight": torch.zeros(2, 64)}), r"1 tensors not in the model, such as head.weight"),
        (lambda s: s.update({"norm.bias": torch.zeros(63)}), r"1 tensors of another shape, such as layernorm.bias"),
        (lambda s: s.pop("blocks.0.mlp.fc1.weight"), r"incomplete: blocks.0.mlp.fc1.weight is missing"),
        (lambda s: s.pop("blocks.0.ls1.gamma"), r"no original checkpoint of SAM or DINOv2"),
        (lambda s: s.update({"epoch": 3}), r"wanted a table of names and tensors"),
        (lambda s: s.update({"epoch": print}), r"cannot be read .* pickled code, which is never run"),
    ],
)
def test_a_wrong_checkpoint_is_refused_in_one_line(tmp_path, change, message):
    state = write(tmp_path / "x.pth", dinov2_shapes(64, 2, 0, False, grid=3))
    change(state)
    torch.save(state, tmp_path / "x.pth")
    with pytest.raises(InputError, match=message) as caught:
        build(tmp_path / "x.pth")
    assert "\n" not in str(caught.value) and "x.pth" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", None])
def test_a_broken_file_is_refused_in_one_line(tmp_path, content):
    path = tmp_path / "x.pth"
    write(path, dinov2_shapes(64, 2, 0, False, grid=3))
    path.write_bytes(path.read_bytes()[:5000] if content is None else content)
    with pytest.raises(InputError, match="x.pth cannot be read as a checkpoint"):
        build(path)
