#!/usr/bin/env bash
# Pillow 13.0.0: a palette mask with the void label 255 and a palette of few colours comes back from its PNG with another
# label in place of 255. The PNG gets as many bits as the palette needs (2 colours: 1, 4: 2, 16: 4, 17 and more: 8), and of
# each index the low bits are kept: 255 becomes 1, 3 or 15, with 2, 4 or 16 colours the last real object. In memory, and
# as TIFF, it is still 255; nothing is said. A guess from memory: indices are pixels, the palette says how they are shown.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q pillow==13.0.0 numpy==2.4.6
cd "$work"
"$work/venv/bin/python" - <<'PY'
import numpy as np
from PIL import Image

VOID = 255
results = {}
for colours in (2, 4, 16, 17, 256):
    labels = np.array([[0, 1, colours - 1, VOID], [VOID, 0, 1, 0]], np.uint8)  # objects below `colours`, and void
    mask = Image.frombytes("P", (4, 2), labels.tobytes())
    mask.putpalette([value for index in range(colours) for value in (index, 0, 255 - index)])
    assert np.asarray(mask)[0, 3] == VOID
    for suffix in ("png", "tif"):
        mask.save(f"mask.{suffix}")
        with Image.open(f"mask.{suffix}") as again:
            assert again.mode == "P" and np.array_equal(np.asarray(again)[labels != VOID], labels[labels != VOID])
            results[suffix, colours] = int(np.asarray(again)[0, 3])
print(results)
assert [results["png", colours] for colours in (2, 4, 16, 17, 256)] == [1, 3, 15, 255, 255]
assert all(results["tif", colours] == VOID for colours in (2, 4, 16, 17, 256))
PY
