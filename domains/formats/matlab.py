"""MATLAB v5 files, as CrackForest and BSDS500 keep their truth."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from scipy.io import loadmat

from domains.errors import InputError


def read_mat(path: Path, variable: str) -> np.ndarray:
    """A variable of a MATLAB v5 file. Raises InputError for anything else, damaged or cut-off files included."""
    try:
        return loadmat(os.fspath(path), variable_names=[variable])[variable]
    except KeyError as error:
        raise InputError(
            f"{str(path)!r}: wanted the variable {variable!r}, the file has none; copy it again"
        ) from error
    except NotImplementedError as error:
        raise InputError(f"{str(path)!r}: wanted a MATLAB v5 file, got v7.3 (HDF5); save it with '-v7'") from error
    except Exception as error:  # on damaged bytes scipy raises anything, from zlib.error to MemoryError
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise InputError(
            f"{str(path)!r}: wanted a whole MATLAB file, got a damaged one ({reason}); copy it again"
        ) from error
