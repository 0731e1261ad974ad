"""Entities between keyframes: the network sees some frames, and dense optical flow carries entities to those between.

The flow is that of Kroeger et al., Fast Optical Flow using Dense Inverse Search, ECCV 2016
(https://arxiv.org/abs/1603.03590), by OpenCV, from each frame back to its keyframe at a low resolution, begun from the
frame before: an entity's mask is read out of the keyframe, so that rims do not wear from frame to frame. A frame is a
keyframe where as many have passed, or where the keyframe does not explain it. No frame waits for a later one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np

from adapters.options.tracking import Keyframes
from adapters.tracking.tracker import State
from domains.entities import renumber
from domains.tiling.prediction import Prediction

LEAST_SIDE_PX, SIDE_PX = 32, 256
"""Frames are looked at with their longer side within these."""
FINE_SIDE_PX = 160
"""Larger ones have their flow at half of that resolution, at a quarter of the cost."""
DIFFERS = 25
"""Grey levels of 255 by which a pixel is not that of the keyframe, beyond what the whole frame changed by."""


class Detected(NamedTuple):
    """The entities of a frame. ids: (H, W) int32, 1..N; scores: (N,), nan where nobody said; features: (N, D) as
    `FrameEntities` has them, None without a backbone; prediction: of the network, None where it did not see the frame.
    """

    ids: np.ndarray
    scores: np.ndarray
    features: np.ndarray | None = None
    prediction: Prediction | None = None


@dataclass
class Keyframe:
    """A frame that the network saw. grey: (h, w) uint8, small; flow: (h, w, 2) float32 pixels of that from the latest
    frame back to it; age: frames since.
    """

    grey: np.ndarray
    detected: Detected
    flow: np.ndarray
    age: int = 0


class Propagation:
    """The entities of a clip's frames, of which the network sees the keyframes alone."""

    def __init__(self, options: Keyframes) -> None:
        self.options = options
        self.key: Keyframe | None = None
        self.keyframes = 0
        """How many there were."""
        self._flow: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)

    def step(self, image: np.ndarray, find: Callable[[], Detected]) -> Detected:
        """The entities of the next frame (H, W, 3) uint8. find: what the network says of it, asked at keyframes."""
        grey = small(image)
        key = self.key
        if key is not None and key.detected.ids.shape == image.shape[:2] and key.age + 1 < self.options.keyframe_frames:
            key.age += 1
            self._flow.setFinestScale(int(max(grey.shape) > FINE_SIDE_PX))
            key.flow = self._flow.calc(grey, key.grey, key.flow)
            if changed(grey, key) <= self.options.keyframe_change:
                return moved(key)
        detected = find()
        self.keyframes += 1
        self.key = Keyframe(grey, detected, np.zeros((*grey.shape, 2), np.float32))
        return detected

    def state(self) -> State:
        """What to go on from, by names that no tracker has; nothing before the first frame."""
        key = self.key
        if key is None:
            return {}
        arrays = {"key_ids": key.detected.ids, "key_scores": key.detected.scores}
        features = {} if key.detected.features is None else {"key_features": key.detected.features}
        return {**arrays, **features, "key_grey": key.grey, "key_flow": key.flow, "key_age": np.array(key.age)}

    def restore(self, state: State) -> None:
        """Go on from a state. Raises KeyError for arrays that are none."""
        if "key_grey" in state:
            detected = Detected(state["key_ids"], state["key_scores"], state.get("key_features"))
            self.key = Keyframe(state["key_grey"], detected, state["key_flow"], int(state["key_age"]))


def small(image: np.ndarray) -> np.ndarray:
    """(h, w) uint8 the grey picture in which motion is looked for."""
    height, width = image.shape[:2]
    scale = min(1.0, SIDE_PX / max(height, width))
    size = max(LEAST_SIDE_PX, round(width * scale)), max(LEAST_SIDE_PX, round(height * scale))
    return cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), size, interpolation=cv2.INTER_AREA)


def changed(grey: np.ndarray, key: Keyframe) -> float:
    """Share of a frame's pixels (h, w) that the keyframe does not explain, however its light changed as a whole."""
    explained = cv2.remap(key.grey, *places(key.flow), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    difference = grey.astype(np.int16) - explained
    return float(np.mean(np.abs(difference - int(np.median(difference))) > DIFFERS))


def moved(key: Keyframe) -> Detected:
    """The entities of the keyframe as they lie in the latest frame; those that left it are left out."""
    height, width = key.detected.ids.shape
    scale = np.array([width / key.flow.shape[1], height / key.flow.shape[0]], np.float32)
    flow = cv2.resize(key.flow, (width, height), interpolation=cv2.INTER_LINEAR) * scale
    columns, rows = places(flow)
    across, down = np.rint(columns).astype(np.intp), np.rint(rows).astype(np.intp)
    within = (across >= 0) & (across < width) & (down >= 0) & (down < height)
    ids = np.where(within, key.detected.ids[down.clip(0, height - 1), across.clip(0, width - 1)], 0)
    dense, present = renumber(np.maximum(ids, 0).astype(np.int32))
    features = key.detected.features
    return Detected(dense, key.detected.scores[present - 1], None if features is None else features[present - 1])


def places(flow: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(columns, rows), each (h, w) float32: where a flow (h, w, 2) leads each pixel."""
    rows, columns = np.indices(flow.shape[:2], np.float32)
    return columns + flow[..., 0], rows + flow[..., 1]
