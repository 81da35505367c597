"""Files that appear whole or not at all, and what is left beside them."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from gmmtf import checkpoint
from gmmtf.atomic import DAY, replacing
from gmmtf.record import Recording


def leave(path: Path, age: float = 0.0) -> Path:
    """Make what a killed process leaves, so many seconds ago."""
    aside = path.with_name("aside")
    with suppress(FileNotFoundError), replacing(path) as partial:
        partial.write_text("half")
        partial.parent.rename(aside)
    os.utime(aside, (time.time() - age,) * 2)
    return aside.rename(partial.parent)


@pytest.mark.parametrize("name", ["run", "run.safetensors", "a[b]*?", "ü ö"])
def test_what_a_killed_process_left_is_removed_a_day_later(tmp_path, name):
    path = tmp_path / name
    fresh, old = leave(path, DAY - 60), leave(path, DAY + 60)
    checkpoint.save(path, tensors={"a": torch.ones(2)}, state={})
    assert not old.exists()
    assert (fresh / name).read_text() == "half"  # its process may be writing yet
    assert {p.name for p in tmp_path.iterdir()} == {name, fresh.name}


@pytest.mark.parametrize("other", ["run.2", "run.12345678", "run.json", "a-run", "ru"])
def test_what_belongs_to_another_file_stays(tmp_path, other):
    kept = leave(tmp_path / other, 2 * DAY)
    mine = tmp_path / "run.keep.partial"
    mine.write_text("a file of the user's")
    os.utime(mine, (0, 0))
    Recording(tmp_path / "run", {}).point(lambda: 1, seed=0)
    checkpoint.save(tmp_path / "run", tensors={}, state={})
    assert (kept / other).read_text() == "half"
    assert mine.exists()


def test_a_record_s_next_point_removes_what_is_left(tmp_path):
    left = leave(tmp_path / "points.json")
    Recording(tmp_path / "points.json", {}).point(lambda: 1, seed=0)
    assert not left.exists()


def test_what_cannot_be_removed_is_no_error(tmp_path):
    file = tmp_path / "run.12345678.partial"
    file.write_text("no folder")
    os.utime(file, (0, 0))
    with replacing(tmp_path / "run") as partial:
        partial.write_text("whole")
    assert (tmp_path / "run").read_text() == "whole"


def test_further_files_of_a_writer_do_not_stay(tmp_path):
    with replacing(tmp_path / "run") as partial:
        partial.with_name("scratch").write_text("")
        partial.write_text("whole")
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_a_link_stays_a_link(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    for name in ("run", "points.json"):
        (tmp_path / name).symlink_to(disk / name)  # also before the file is there
    for n in (1, 2):
        checkpoint.save(tmp_path / "run", tensors={"a": torch.ones(n)}, state={})
        Recording(tmp_path / "points.json", {}).point(lambda: 1, n=n)
    assert (tmp_path / "run").is_symlink()
    assert len(checkpoint.load(disk / "run")[0]["a"]) == 2
    assert (tmp_path / "points.json").is_symlink()
    assert len(Recording(disk / "points.json").points) == 2
    # The lock is not here: who records into the file itself waits for who does through the link.
    assert {p.name for p in tmp_path.iterdir()} == {"disk", "run", "points.json"}
