"""Every verb works on the device that was chosen, and words that mean none end in one line; see `test_runtime.py`."""

from __future__ import annotations

import json
import shutil
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from lightning.pytorch.strategies import SingleDeviceStrategy

import recipes.runtime
from adapters.joint_network import JointSegmenter
from adapters.network import EntitySegmenter
from adapters.options.training import TrainOptions
from adapters.proposals.region_choice import RegionChoice
from adapters.proposals.watershed import Watershed
from adapters.runtime import CPU, Runtime
from cli import main
from domains.errors import InputError
from recipes.load import loaded
from recipes.runtime import choose, device_of, of_training, words_of
from tests.recipes.verbs.test_pretrain import TINY
from tests.spy_device import SpyAccelerator, SpyTensor, spy_device

STAGES = (
    *("probe", "exercise", "training_step", "validation_step", "on_validation_end"),
    *("fit_regions", "calibrate", "measure", "segment_into"),
)
"""Functions under which a network runs; of several the one that is named here before the others counts."""
ON_CPU = {"probe", "exercise"}  # what an adapter is checked by, where its numbers were made

Devices = dict[str, set[str]]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Devices]:
    """Stage -> where its networks, images and outputs were; `decode`: where a decoder's outputs were cut out."""
    record: Devices = defaultdict(set)

    def watch(kind: type) -> None:
        forward = kind.forward

        def watched(self, images):
            outputs = forward(self, images)
            tensors = [*self.parameters(), *tensors_of(images), *tensors_of(outputs)]
            record[stage()] |= {tensor.device.type for tensor in tensors}
            return outputs

        monkeypatch.setattr(kind, "forward", watched)

    watch(EntitySegmenter)
    watch(JointSegmenter)
    for proposals in (Watershed, RegionChoice):

        def watched_decode(self, outputs, index, size, prepared=proposals.prepared):
            record["decode"] |= {tensor.device.type for tensor in tensors_of(outputs)}
            return prepared(self, outputs, index, size)

        monkeypatch.setattr(proposals, "prepared", watched_decode)
    monkeypatch.setattr(Runtime, "trainer_options", spy_options)
    monkeypatch.setattr("adapters.training.region_fit.STEPS", 20)  # a step is slow there
    with spy_device():
        yield record


def spy_options(runtime: Runtime) -> dict:
    """Lightning knows no `spy` by name."""
    strategy = SingleDeviceStrategy(runtime.device, accelerator=SpyAccelerator())
    return {"strategy": strategy, "precision": runtime.training}


def tensors_of(values) -> list[torch.Tensor]:
    if isinstance(values, torch.Tensor):
        return [values]
    inner = values.values() if isinstance(values, dict) else values
    return [tensor for value in inner for tensor in tensors_of(value)]


def stage() -> str:
    names, frame = set(), sys._getframe()
    while frame is not None:
        names.add(frame.f_code.co_name)
        frame = frame.f_back
    return next((name for name in STAGES if name in names), "elsewhere")


def assert_on_spy(seen: Devices, *stages: str) -> None:
    """Those stages, and no others but the checks of a folder, ran, all on the device; entities were cut on the CPU."""
    assert seen.pop("decode") == {"cpu"}
    checks = {stage: seen.pop(stage) for stage in ON_CPU & seen.keys()}
    assert all(devices == {"cpu"} for devices in checks.values())
    assert seen == {stage: {"spy"} for stage in stages}


def test_the_spy_device_is_as_strict_as_a_gpu() -> None:
    with spy_device():
        there = torch.ones(2).to("spy")
        assert isinstance(there, SpyTensor) and (there + there).device.type == "spy"
        assert torch.equal((there + 1).cpu(), torch.full((2,), 2.0))
        with pytest.raises(RuntimeError, match="same device"):
            there + torch.ones(2)
        with pytest.raises((RuntimeError, TypeError), match="numpy|spy"):
            there.numpy()


def test_fit_is_on_the_device_from_the_first_measurement_to_the_last(seen, data, options, tmp_path) -> None:
    words = ["fit", "--recipe", "pathology", "--data", str(data), "--out", str(tmp_path / "run"), *options]
    small = ("train.steps=2", "train.validate_every=1", "domain.symmetries=1", "domain.hard_negatives=0.2")
    assert main([*words, *small, "--debug"]) == 0
    assert_on_spy(seen, "training_step", "validation_step", "fit_regions", "calibrate", "measure")
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["steps"] == 2


def test_predict_is_on_the_device_by_tiles_and_by_windows(seen, run, data, tmp_path) -> None:
    image = str(data / "images" / "0.png")
    words = ["predict", "--adapter", str(run / "adapter"), image, "--debug"]
    assert main([*words, "--out", str(tmp_path / "tiles")]) == 0
    assert_on_spy(seen, "segment_into")
    seen.clear()
    assert main([*words, "--out", str(tmp_path / "windows"), "--window", "32", "--symmetries", "4"]) == 0
    assert_on_spy(seen, "segment_into")


def test_evaluate_is_on_the_device(seen, run, data) -> None:
    assert main(["evaluate", "--adapter", str(run / "adapter"), "--data", str(data), "--debug"]) == 0
    assert_on_spy(seen, "measure")


def test_transfer_is_on_the_device_and_swaps_adapters_of_one_base(seen, run, base, data, tmp_path) -> None:
    shutil.copytree(run / "adapter", tmp_path / "copy")
    words = ["transfer", "-a", f"one:{run / 'adapter'}", "-a", f"two:{tmp_path / 'copy'}"]
    words += ["--data", f"pathology:a={data}", "--data", f"pathology:b={data}", "--out", str(tmp_path / "t")]
    assert main([*words, "--debug"]) == 0
    assert_on_spy(seen, "measure")
    table = json.loads((tmp_path / "t" / "transfer.json").read_text())["metrics"]
    assert table["pq"]["one"] == table["pq"]["two"]


def test_pretrain_is_on_the_device(seen, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("recipes.verbs.pretrain.REGION_SCENES", 3)
    kinds = [f"scenes.kinds.{kind}=null" for kind in ("surfaces", "aerial", "photographs")]
    words = [*TINY, *kinds, "decoder.regions=true", "train.device=auto"]
    assert main(["pretrain", "--out", str(tmp_path / "run"), *words, "--debug"]) == 0
    assert_on_spy(seen, "training_step", "validation_step", "fit_regions")


def test_a_verb_that_forgets_the_device_is_seen(seen, run, data, monkeypatch) -> None:
    monkeypatch.setattr(EntitySegmenter, "place", lambda self, runtime: self)
    assert main(["evaluate", "--adapter", str(run / "adapter"), "--data", str(data), "--debug"]) == 0
    with pytest.raises(AssertionError):
        assert_on_spy(seen, "measure")


def test_device_cpu_stays_there_on_a_machine_with_an_accelerator(seen, run, data) -> None:
    words = ["evaluate", "--adapter", str(run / "adapter"), "--data", str(data), "--device", "cpu"]
    assert main([*words, "--debug"]) == 0
    assert seen["measure"] == {"cpu"}


def test_a_device_that_is_not_there_is_one_line(run, data, tmp_path, capsys) -> None:
    for word in ("gpu", "cuda:7", "tpu"):
        words = ["predict", "--adapter", str(run / "adapter"), str(data / "images"), "--out", str(tmp_path / "out")]
        assert main([*words, "--device", word]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        devices = ", ".join(["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))])
        if not torch.cuda.is_available() or word == "tpu":
            assert line.endswith(f"--device is {word!r}; wanted auto, cpu, gpu or a device of this machine: {devices}")
        assert not (tmp_path / "out").exists()


def test_a_precision_that_is_not_there_is_one_line(run, data, tmp_path, capsys) -> None:
    words = ["evaluate", "--adapter", str(run / "adapter"), "--data", str(data), "--precision", "fp8"]
    assert main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "'fp8'" in line and "'auto', 'fp32', 'bf16'" in line
    with pytest.raises(InputError, match="--precision is 'fp8'; wanted one of auto, fp32, bf16"):
        choose("cpu", "fp8")


@pytest.mark.parametrize(("instructions", "precision"), [("bf16-mixed", "bf16"), ("32-true", "fp32")])
def test_the_cpu_predicts_in_what_it_has_the_instructions_for(instructions, precision, monkeypatch) -> None:
    words = {"auto": instructions, "bf16": "bf16-mixed", "fp32": "32-true"}
    monkeypatch.setattr(recipes.runtime, "best_precision", lambda asked, device: words[asked])
    other = {"bf16": "fp32", "fp32": "bf16"}[precision]
    assert choose("cpu").precision == precision and choose("cpu", "fp32") == CPU
    assert choose("cpu", other).precision == other and words_of(choose("cpu", other))["--precision"] == other
    assert words_of(choose()) == {"--device": None, "--precision": None}
    assert of_training(TrainOptions(device="cpu", precision="bf16")) == Runtime(CPU.device, precision, 1, "bf16-mixed")
    assert of_training(TrainOptions(device="cpu", precision="fp32")) == Runtime(precision=precision)


def test_by_itself_a_verb_takes_the_accelerator() -> None:
    with spy_device():
        assert device_of("auto").type == device_of("gpu").type == "spy" and str(device_of("spy:0")) == "spy:0"
        assert device_of("cpu").type == "cpu" and words_of(choose("cpu"))["--device"] == "cpu"
        with pytest.raises(InputError, match=r"train\.device is 'spy:1'; .*: cpu, spy:0$"):
            device_of("spy:1", "train.device")


def test_a_prediction_in_bf16_is_close_and_another_prediction(run: Path, data: Path, tmp_path, capsys) -> None:
    image = [data / "images" / "0.png"]
    with (
        loaded(str(run / "adapter")) as single,
        loaded(str(run / "adapter"), runtime=Runtime(precision="bf16")) as half,
    ):
        images = torch.rand(1, 3, 64, 64)
        exact, near = (network.segmenter.predicted(images)["foreground"] for network in (single, half))
    assert near.dtype == torch.float32 and not torch.equal(exact, near)
    assert (exact - near).abs().max() < 0.05 * exact.std() + 0.05
    words = ["predict", "--adapter", str(run / "adapter"), str(image[0]), "--out", str(tmp_path / "out")]
    assert main([*words, "--precision", "fp32"]) == 0
    assert main([*words, "--precision", "bf16"]) == 2
    assert "holds a prediction with another --precision" in capsys.readouterr().err
