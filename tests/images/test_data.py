"""MNIST is real, whole, and never used when a byte is wrong."""

from __future__ import annotations

import gzip
import hashlib
import pickle
import re
import shutil
import struct
import sys
from pathlib import Path

import numpy as np
import pooch
import pytest
import requests
import torch

import make_mnist_idx
from gmmtf.images import files, mnist
from gmmtf.images.files import DataError, KnownFile, data_root

FOLDER = data_root() / "mnist"
ORIGINAL_MD5 = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}
# Counts of the digits 0 to 9, as known for the original data set.
TRAIN_COUNTS = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
TEST_COUNTS = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


@pytest.fixture
def copy_of_test_split(tmp_path: Path) -> Path:
    for known in (mnist.IMAGES["test"], mnist.LABELS["test"]):
        (tmp_path / "mnist").mkdir(exist_ok=True)
        shutil.copy(FOLDER / f"{known.name}.gz", tmp_path / "mnist")
    return tmp_path


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    asked: list[str] = []

    def refuse(self: pooch.HTTPDownloader, url: str, output: str, pooch: object) -> None:
        asked.append(url)
        raise requests.exceptions.ConnectionError("no network")

    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", refuse)
    return asked


@pytest.mark.parametrize("name", ORIGINAL_MD5)
def test_files_are_the_originals_bit_for_bit(name: str) -> None:
    content = gzip.decompress((FOLDER / f"{name}.gz").read_bytes())
    assert hashlib.md5(content, usedforsecurity=False).hexdigest() == ORIGINAL_MD5[name]


def test_checksum_file_lists_what_is_there_and_what_the_loader_expects() -> None:
    lines = (FOLDER / "SHA256SUMS").read_text().splitlines()
    sums = {name: value for value, name in (line.split("  ") for line in lines)}
    known = {k.name: k for k in (*mnist.IMAGES.values(), *mnist.LABELS.values())}
    assert set(sums) == set(known) | {f"{name}.gz" for name in known}
    for name, file in known.items():
        packed = (FOLDER / f"{name}.gz").read_bytes()
        assert hashlib.sha256(packed).hexdigest() == sums[f"{name}.gz"]
        assert file.sha256 == sums[name]


def test_compressed_files_carry_no_name_and_no_time() -> None:
    for path in FOLDER.glob("*.gz"):
        header = path.read_bytes()[:10]
        assert header[:4] == b"\x1f\x8b\x08\x00", path  # flags 0: no name
        assert header[4:8] == bytes(4), path  # time 0


@pytest.mark.parametrize(
    ("split", "count", "counts", "first"),
    [("train", 60_000, TRAIN_COUNTS, 5), ("test", 10_000, TEST_COUNTS, 7)],
)
def test_known_facts(split: str, count: int, counts: list[int], first: int) -> None:
    images, labels = mnist.load(split, download=False)
    assert images.shape == (count, 28, 28)
    assert images.dtype == torch.uint8
    assert labels.dtype == torch.int64
    assert torch.bincount(labels).tolist() == counts
    assert int(labels[0]) == first
    assert (int(images.min()), int(images.max())) == (0, 255)
    # Digits are drawn in the middle: the border is background, the centre is not.
    mean = images.float().mean(0)
    assert float(mean[0].max()) < 1
    assert float(mean[10:18, 10:18].min()) > 20


def test_load_keeps_the_digits_asked_for() -> None:
    images, labels = mnist.load("test", [3, 1])
    assert sorted(set(labels.tolist())) == [1, 3]
    assert len(images) == TEST_COUNTS[1] + TEST_COUNTS[3]
    every_image, every_label = mnist.load("test")
    assert torch.equal(images, every_image[(every_label == 1) | (every_label == 3)])


def test_altered_byte_is_found(copy_of_test_split: Path) -> None:
    known = mnist.IMAGES["test"]
    path = copy_of_test_split / "mnist" / f"{known.name}.gz"
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[5000] ^= 1
    path.write_bytes(gzip.compress(bytes(content), 1))
    found = hashlib.sha256(content).hexdigest()
    with pytest.raises(DataError) as error:
        mnist.load("test", root=copy_of_test_split)
    for part in (str(path), known.sha256, found, str(known.size)):
        assert part in str(error.value)


def test_damaged_compression_is_found(copy_of_test_split: Path) -> None:
    path = copy_of_test_split / "mnist" / f"{mnist.LABELS['test'].name}.gz"
    packed = bytearray(path.read_bytes())
    packed[len(packed) // 2] ^= 0xFF
    path.write_bytes(packed)
    with pytest.raises(DataError, match=re.escape(str(path))):
        mnist.load("test", root=copy_of_test_split)


@pytest.mark.parametrize("kept", [0, 5, 4000])
def test_truncated_file_is_found(copy_of_test_split: Path, kept: int) -> None:
    known = mnist.LABELS["test"]
    path = copy_of_test_split / "mnist" / f"{known.name}.gz"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DataError, match=known.sha256):
        mnist.load("test", root=copy_of_test_split)


def test_file_that_unpacks_to_far_too_much_is_refused_early() -> None:
    known = KnownFile("bomb", 100, "0" * 64)
    with pytest.raises(DataError, match="found 101 bytes"):
        files.decompress(gzip.compress(bytes(10_000_000)), known, "bomb.gz")


def test_missing_file_without_network(tmp_path: Path, no_network: list[str]) -> None:
    with pytest.raises(DataError) as error:
        mnist.load("test", root=tmp_path)
    message = str(error.value)
    assert str(tmp_path / "mnist" / "t10k-images-idx3-ubyte.gz") in message
    assert mnist.IMAGES["test"].sha256 in message
    assert len(no_network) == len(files.MIRRORS)
    assert all(url in message for url in no_network)
    assert not list(tmp_path.rglob("*.gz"))


def test_missing_file_when_downloads_are_off(tmp_path: Path, no_network: list[str]) -> None:
    with pytest.raises(DataError, match=r"t10k-images-idx3-ubyte\.gz is missing"):
        mnist.load("test", root=tmp_path, download=False)
    assert no_network == []


def test_download_skips_a_mirror_that_has_it_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = {path.name: path.read_bytes() for path in FOLDER.glob("t10k*.gz")}

    def mirror(self: pooch.HTTPDownloader, url: str, output: str, pooch: object) -> None:
        wrong = gzip.compress(b"not the file")
        first = url.startswith(files.MIRRORS[0])
        Path(output).write_bytes(wrong if first else right[url.rsplit("/", 1)[1]])

    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", mirror)
    images, _ = mnist.load("test", root=tmp_path)
    assert len(images) == 10_000
    stored = sorted(path.name for path in (tmp_path / "mnist").iterdir())
    assert stored == sorted(right)
    for name, packed in right.items():
        assert (tmp_path / "mnist" / name).read_bytes() == packed


def test_interrupted_download_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(self: pooch.HTTPDownloader, url: str, output: str, pooch: object) -> None:
        Path(output).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", stop)
    with pytest.raises(KeyboardInterrupt):
        mnist.load("test", root=tmp_path)
    assert list((tmp_path / "mnist").iterdir()) == []


def test_download_without_pooch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(ImportError, match=r"is missing.*pip install 'gmmtf\[images\]'"):
        mnist.load("test", root=tmp_path)


def test_where_data_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GMMTF_DATA", str(tmp_path / "from_environment"))
    assert data_root(tmp_path / "given") == tmp_path / "given"
    assert data_root() == tmp_path / "from_environment"
    monkeypatch.delenv("GMMTF_DATA")
    assert data_root() == Path(__file__).resolve().parents[2] / "data"
    installed = tmp_path / "lib" / "python" / "site-packages" / "gmmtf" / "images" / "files.py"
    monkeypatch.setattr(files, "__file__", str(installed))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert data_root() == tmp_path / "cache" / "gmmtf"


def _idx(magic: tuple[int, ...], sizes: tuple[int, ...], n_values: int) -> bytes:
    return bytes(magic) + struct.pack(f">{len(sizes)}I", *sizes) + bytes(n_values)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\0\0\x08", "3 bytes"),
        (_idx((0, 0, 9, 2), (2, 3), 6), "starts with 00000902"),
        (_idx((0, 0, 8, 1), (6,), 10), "starts with 00000801"),
        (_idx((0, 0, 8, 2), (3, 2), 6), r"says shape \(3, 2\)"),
        (_idx((0, 0, 8, 2), (2**31, 3), 6), "says shape"),
        (_idx((0, 0, 8, 2), (2, 3), 5), "5 values"),
        (_idx((0, 0, 8, 2), (2, 3), 7), "7 values"),
    ],
)
def test_idx_header_that_lies(content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        mnist.parse_idx(content, (2, 3))


def test_idx_reads_rows_first() -> None:
    content = bytes((0, 0, 8, 2)) + struct.pack(">2I", 2, 3) + bytes(range(6))
    assert mnist.parse_idx(content, (2, 3)).tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize("digits", [[10], [-1], [], [1, 1], [1.5], [True]])
def test_unknown_digits(digits: list[int]) -> None:
    with pytest.raises(ValueError, match="digits"):
        mnist.load("test", digits)


def test_unknown_split() -> None:
    with pytest.raises(ValueError, match="split: expected one of"):
        mnist.load("validation")


LABELS = torch.arange(10).repeat(200)
NUMBERED = torch.arange(2000)[:, None]


def test_imbalanced_subset() -> None:
    images, labels = mnist.imbalanced(
        NUMBERED,
        LABELS,
        digits=[0, 1, 2, 3],
        rare=2,
        rare_fraction=0.1,
        generator=torch.Generator().manual_seed(0),
    )
    assert torch.bincount(labels).tolist() == [200, 200, 20, 200]
    assert torch.equal(LABELS[images[:, 0]], labels)  # images and labels still belong together
    assert images[:, 0].tolist() == sorted(set(images[:, 0].tolist()))


def test_imbalanced_subset_depends_on_the_seed_only() -> None:
    def rare_ones(seed: int) -> list[int]:
        images, labels = mnist.imbalanced(
            NUMBERED,
            LABELS,
            digits=[2, 7],
            rare=7,
            rare_fraction=0.25,
            generator=torch.Generator().manual_seed(seed),
        )
        chosen: list[int] = images[labels == 7, 0].tolist()
        return chosen

    assert rare_ones(0) == rare_ones(0)
    assert rare_ones(0) != rare_ones(1)


def test_whole_fraction_keeps_everything() -> None:
    generator = torch.Generator()
    images, _ = mnist.imbalanced(
        NUMBERED, LABELS, digits=[2, 7], rare=7, rare_fraction=1.0, generator=generator
    )
    assert len(images) == 400


@pytest.mark.parametrize("fraction", [0.0, -0.1, 1.1, float("nan")])
def test_fraction_outside_its_range(fraction: float) -> None:
    with pytest.raises(ValueError, match="rare_fraction"):
        mnist.imbalanced(
            NUMBERED,
            LABELS,
            digits=[0, 2],
            rare=2,
            rare_fraction=fraction,
            generator=torch.Generator(),
        )


@pytest.mark.parametrize(
    ("digits", "rare", "n_labels", "message"),
    [
        ([0, 1], 2, 2000, "rare"),
        ([0, 12], 0, 2000, "digits"),
        ([0, 1], 1, 1999, "labels"),
    ],
)
def test_bad_subsets(digits: list[int], rare: int, n_labels: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mnist.imbalanced(
            NUMBERED,
            LABELS[:n_labels],
            digits=digits,
            rare=rare,
            rare_fraction=0.5,
            generator=torch.Generator(),
        )


def test_absent_digit() -> None:
    with pytest.raises(ValueError, match=r"digits: \[9\] do not occur"):
        mnist.imbalanced(
            NUMBERED[:9],
            LABELS[:9],
            digits=[0, 9],
            rare=0,
            rare_fraction=0.5,
            generator=torch.Generator(),
        )


def test_pixel_scaling_and_back() -> None:
    values = torch.arange(256, dtype=torch.uint8)
    scaled = mnist.to_unit_range(values)
    assert scaled.dtype == torch.float32
    assert (float(scaled[0]), float(scaled[255])) == (-1.0, 1.0)
    assert torch.equal(mnist.to_bytes(scaled), values)
    assert mnist.to_bytes(torch.tensor([-3.0, 3.0])).tolist() == [0, 255]
    with pytest.raises(ValueError, match="uint8"):
        mnist.to_unit_range(scaled)


def test_conversion_script_never_reads_an_unknown_pickle(tmp_path: Path) -> None:
    path = tmp_path / "mnist.pkl.gz"
    path.write_bytes(gzip.compress(pickle.dumps(_Trap(str(tmp_path / "sprung")))))
    with pytest.raises(ValueError, match=make_mnist_idx.SOURCE_SHA256):
        make_mnist_idx.read_source(path)
    assert not (tmp_path / "sprung").exists()


class _Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (self.path, "w")


def test_conversion_script_writes_the_format_that_the_loader_reads() -> None:
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    assert np.array_equal(mnist.parse_idx(make_mnist_idx.idx_bytes(array), (2, 3, 4)), array)
