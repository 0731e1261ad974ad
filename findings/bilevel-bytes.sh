#!/usr/bin/env bash
# Pillow 13.0.0, numpy 2.4.6: a 1-bit image becomes a bool array whose true values are the byte 255, not 1.
# Equal by every comparison of numpy to the mask that was saved, yet its bytes differ: content hashes, bytes sorted or
# compared as uint8, and arrays shared with C code differ for equal masks. A guess from memory: bool arrays hold 0 and 1.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q pillow==13.0.0 numpy==2.4.6
"$work/venv/bin/python" - "$work/mask.png" <<'PY'
import hashlib
import sys

import numpy as np
from PIL import Image

mask = np.zeros((6, 8), bool)
mask[2:4, 3:6] = True
Image.fromarray(mask).save(sys.argv[1])
back = np.asarray(Image.open(sys.argv[1]))
digests = [hashlib.sha256(array.tobytes()).hexdigest()[:12] for array in (mask, back)]
print("dtype", back.dtype, "| equal", np.array_equal(mask, back), "| largest byte", back.view(np.uint8).max(), "| hashes", digests)
assert back.dtype == bool and np.array_equal(mask, back) and not (mask ^ back).any()
assert mask.view(np.uint8).max() == 1 and back.view(np.uint8).max() == 255
assert digests[0] != digests[1]
PY
