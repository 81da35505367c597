"""The table of seeded faults: that of the lists, with no fault unseen."""

from __future__ import annotations

import pytest

import mutants

LISTED = mutants.tabulate(mutants.read_faults(), {})


def test_there_are_faults_in_library_rooms_and_figures():
    assert sum(row["faults"] for row in LISTED.values()) >= 150
    assert any(file.startswith("src/gmmtf/images/") for file in LISTED)
    assert any(file.startswith("src/gmmtf/risks/") for file in LISTED)
    assert any("gmmtf_book" in file and "figures" in file for file in LISTED)


@pytest.mark.parametrize("fault", mutants.read_faults(), ids=str)
def test_a_fault_fits_its_file_and_its_tests_exist(fault):
    assert fault.fits
    assert fault.old != fault.new
    for test in fault.tests:
        assert (mutants.ROOT / test.partition("::")[0]).is_file()


def test_the_table_of_the_book_is_that_of_the_lists():
    """`make mutants` writes it; a fault that is added has to be tried."""
    table = mutants.read_table()
    assert list(table) == sorted(LISTED)
    for file, row in table.items():
        assert (row["faults"], row["equivalent"]) == (
            LISTED[file]["faults"], LISTED[file]["equivalent"],
        ), file  # fmt: skip
        assert row["survived"] == 0, file


def test_rows_are_counted_and_replaced(tmp_path, monkeypatch):
    monkeypatch.setattr(mutants, "TABLE", tmp_path / "mutants.csv")
    faults = [
        mutants.Fault("a.py", ("t",), "1", "2"),
        mutants.Fault("a.py", ("t",), "3", "4"),
        mutants.Fault("b.py", ("t",), "5", "6", equivalent="no digit changes"),
    ]
    monkeypatch.setattr(mutants, "read_faults", lambda: faults)
    found = {faults[0]: "killed by t", faults[1]: "survived"}
    mutants.record(mutants.tabulate(faults, found))
    first = {"faults": 2, "killed": 1, "equivalent": 0, "survived": 1}
    second = {"faults": 1, "killed": 0, "equivalent": 1, "survived": 0}
    assert mutants.read_table() == {"a.py": first, "b.py": second}
    mutants.record(mutants.tabulate(faults[:2], dict.fromkeys(faults, "killed by t")))
    again = {"faults": 2, "killed": 2, "equivalent": 0, "survived": 0}
    assert mutants.read_table() == {"a.py": again, "b.py": second}
