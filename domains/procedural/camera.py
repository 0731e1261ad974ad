"""What a camera does to every scene: light, blur, gamma, colour cast, noise, JPEG; sometimes grey."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from domains.procedural.paint import smooth_field


@dataclass(frozen=True)
class Camera:
    """How strong each effect may get; a photograph draws its own strength up to these."""

    blur_px: float = 1.3
    """Upper end of the blur's standard deviation."""
    noise: float = 10.0
    """Upper end of the noise's standard deviation, grey levels."""
    light: float = 0.22
    """Relative unevenness of the light across the picture."""
    gamma: float = 0.35
    """Standard deviation of log gamma."""
    cast: float = 0.08
    """Relative standard deviation of the gain per channel."""
    grey: float = 0.1
    """Chance that the picture is grey."""
    jpeg: float = 0.4
    """Chance that it went through JPEG."""

    def photograph(self, rng: np.random.Generator, scene: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 from an (H, W, 3) float scene in 0..255."""
        image = self.expose(rng, np.clip(scene, 0, 255, dtype=np.float32))
        sigma = self.blur_px * rng.beta(1, 2)
        image = cv2.GaussianBlur(image, (0, 0), max(sigma, 0.3))
        if rng.random() < self.grey:
            image = np.repeat(image.mean(2, keepdims=True), 3, 2)
        image = self.add_noise(rng, image)
        return self.compress(rng, np.clip(image, 0, 255).astype(np.uint8))

    def expose(self, rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
        """(H, W, 3) float32 under uneven light, with another gamma, contrast and gain of each channel."""
        height, width = image.shape[:2]
        if rng.random() < 0.6:
            field = smooth_field(rng, height, width, int(rng.integers(2, 4)))
            image = image * (1 + self.light * rng.random() * np.clip(field, -1.5, 1.5))[..., None]
        gamma = np.exp(np.clip(rng.normal(0, self.gamma), -0.8, 0.8))
        curve = (np.linspace(0, 1, 256) ** gamma * 255).astype(np.float32)
        image = curve[np.clip(image, 0, 255).astype(np.uint8)]
        contrast, gains = np.exp(rng.normal(0, 0.15)), 1 + rng.normal(0, self.cast, 3).astype(np.float32)
        middle = image.mean()
        return ((image - middle) * np.float32(contrast) + middle) * gains.clip(0.75, 1.3)

    def add_noise(self, rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
        """The image with Gaussian noise, of each channel its own or one for all, at times larger than a pixel."""
        sigma = np.float32(self.noise * rng.beta(1, 3))
        channels = image.shape[2] if rng.random() < 0.5 and self.grey < 1 else 1  # else the same in every channel
        noise = rng.standard_normal((*image.shape[:2], channels), dtype=np.float32)
        if rng.random() < 0.3:  # demosaicked and denoised: the grain is larger than a pixel
            noise = np.atleast_3d(cv2.GaussianBlur(noise, (0, 0), 0.7)) * 2
        return image + sigma * noise

    def compress(self, rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 after JPEG of quality 35 to 95 by the chance `jpeg`, else the very image."""
        if rng.random() >= self.jpeg:
            return image
        _, coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(35, 96))])
        return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR))  # channels come back in the order they went in
