"""The commands for records: which code points come from, and records of the old form."""

from __future__ import annotations

import json

import pandas as pd
import pytest

import convert_records
import records
from gmmtf import Estimate
from gmmtf.provenance import FIELDS, UNKNOWN, code_digest
from gmmtf.record import Point, Recording
from gmmtf_book import RESULTS
from record_rules import Rule, estimates

OLD = {
    "provenance": {"gmmtf": "0.1.0", "gpu": None, "threads": 2, "date": "2026-11-22"},
    "settings": {"dim": 4},
    "values": {
        "finish/plain/0/300": {"spread": [0.5, 0.25], "curve": [[1, 2], [3, 4]]},
        "floor": 1,
    },
}
RULES = (
    Rule(
        r"finish/(?P<head>\w+)/(?P<seed>\d+)/(?P<step>\d+)",
        {"kind": "finish", "head": str, "seed": int, "step": int},
        estimates("spread", "curve.*"),
    ),
    Rule("floor", {"kind": "floor"}, float),
)


def test_old_keys_become_labels_and_lists_estimates():
    record = convert_records.converted(OLD, RULES)
    assert record.settings == {"dim": 4}
    first, second = record
    assert first.labels == {"kind": "finish", "head": "plain", "seed": 0, "step": 300}
    assert first.value == {
        "spread": Estimate(0.5, 0.25), "curve": [Estimate(1, 2), Estimate(3, 4)],
    }  # fmt: skip
    assert (second.labels, second.value) == ({"kind": "floor"}, 1.0)
    assert set(first.provenance) == set(FIELDS)
    assert first.provenance["date"] == "2026-11-22"
    assert first.provenance["gpu"] is None
    assert first.provenance["commit"] == first.provenance["seconds"] == UNKNOWN


def test_a_key_without_a_rule_or_a_point_that_would_be_lost_is_named():
    with pytest.raises(ValueError, match="'floor': no rule"):
        convert_records.converted(OLD, RULES[:1])
    alike = (Rule(r".*", {"kind": "all"}),)
    with pytest.raises(ValueError, match="'floor': a point with the labels"):
        convert_records.converted(OLD, alike)
    nothing = (*RULES[:1], Rule("floor", {"kind": "floor"}, split=lambda value: []))
    with pytest.raises(ValueError, match="'floor': no rule"):
        convert_records.converted(OLD, nothing)


def test_one_old_value_may_become_several_points():
    grid = {**OLD, "values": {"grid": {"4": [1, 2], "8": [3, 4]}}}
    rule = Rule(
        "grid",
        {"kind": "grid"},
        estimates("*"),
        split=lambda value: [({"N": int(n)}, entry) for n, entry in value.items()],
    )
    record = convert_records.converted(grid, (rule,))
    assert record.value(N=8) == Estimate(3, 4)
    assert record.value(N=4) == Estimate(1, 2)
    assert len(record.points) == 2


def test_the_command_converts_files_and_leaves_others(tmp_path, monkeypatch, capsys):
    old, new = tmp_path / "99_study.json", tmp_path / "new.json"
    note = {"network": "of another kind"}
    old.write_text(json.dumps({**OLD, "provenance": OLD["provenance"] | note}))
    Recording(new, {}).point(lambda: 1, seed=0)
    before = new.read_bytes()
    monkeypatch.setattr("sys.argv", ["convert_records.py", str(old), str(new)])
    assert convert_records.main() == 0
    record = Recording(old)
    assert {p.labels["key"]: p.value for p in record} == OLD["values"]
    assert all(p.provenance["network"] == "of another kind" for p in record)
    assert new.read_bytes() == before
    with pytest.raises(ValueError, match="network_note: 'of another kind' there, nothing here"):
        Recording(old, {"dim": 4})  # no run goes on with another network
    assert "2 values, 2 points" in capsys.readouterr().out


def test_a_file_that_cannot_be_converted_is_kept(tmp_path, monkeypatch, capsys):
    path = tmp_path / "05_study.json"
    path.write_text(json.dumps({**OLD, "values": {"\\x00": 1}}))
    before = path.read_bytes()
    monkeypatch.setattr("sys.argv", ["convert_records.py", str(path)])
    assert convert_records.main() == 1
    assert path.read_bytes() == before
    assert "no rule has this form of key" in capsys.readouterr().err


def test_the_table_says_which_points_are_of_the_present_code(tmp_path):
    record = Recording(tmp_path / "a.json", {}, code="gmmtf.estimate")
    record.point(lambda: 1, seed=0)
    for seed, code in enumerate(("gmmtf.estimate:0123", "gmmtf.gone:0123", UNKNOWN), start=1):
        made = record.points[0].provenance | {"code": code, "commit": "f" * 40, "gpu": "a GPU"}
        record.take(Point({"seed": seed}, 1, made))
    (tmp_path / "old.json").write_text(json.dumps(OLD))
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "broken.json").write_text("{")
    rows = records.table(tmp_path)
    assert list(rows.index) == ["a.json", "broken.json", "old.json"]
    counts = rows.loc["a.json", ["points", "current", "changed", "unknown"]]
    assert counts.tolist() == [4, 1, 2, 1]
    assert rows.commits["a.json"].endswith("ffffffffff (3)")
    assert rows.devices["a.json"] == "cpu (1), a GPU (3)"
    assert "convert_records.py" in rows.note["old.json"]
    assert pd.isna(rows.note["a.json"])
    assert records.state(f"gmmtf.check:{code_digest('gmmtf.check')}") == "current"


def test_the_command_reports_the_project_records(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["records.py"])
    records.main()
    printed = capsys.readouterr().out
    assert all(p.name in printed for p in RESULTS.glob("*.json") if p.name != "claims.json")
