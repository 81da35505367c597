"""The account of the paper's claims: complete, well formed, and tied to pages that exist."""

from __future__ import annotations

import json
import re

import pytest

from kernel_environment import ROOT
from sphinx_claims import KEYS, load_claims, required

from .chapters import cells_tagged, read
from .summaries import summary_of

CLAIMS = ROOT / "data" / "results" / "claims.json"
EVIDENCE = [number for claim in load_claims(CLAIMS) for number in claim["evidence"]]
LIVE = [number for number in EVIDENCE if "check" in number]
RECORDED = [number for number in EVIDENCE if "recorded" in number]
IDS = ["C1", "C2", "C3", "C4", "C5", "C6", "C7", "F1", "F2A", "F2B", "F2C", "F3", "F4", "F5"]


def test_every_known_claim_has_a_row():
    assert [claim["id"] for claim in load_claims(CLAIMS)] == IDS


def test_a_claim_says_what_was_done_as_soon_as_it_has_a_status():
    for claim in load_claims(CLAIMS):
        covered = claim["status"] != "not yet"
        assert bool(claim["chapter"]) == covered, claim["id"]
        assert bool(claim["done"]) == covered, claim["id"]
        if claim["chapter"]:
            assert list((ROOT / "book").glob(f"{claim['chapter']}.*")), claim["chapter"]


@pytest.mark.parametrize("number", LIVE, ids=lambda number: number["check"])
def test_a_live_number_is_in_the_check_table_of_its_chapter(number):
    cells = {cell.id: cell for cell in cells_tagged(read(number["chapter"]), "nbval-check-output")}
    table = cells[number["cell"]].outputs[0].text.splitlines()
    rows = [re.split(r"\s{2,}", line) for line in table]
    found = [row for row in rows if row[0] == number["check"]]
    assert len(found) == 1, table
    _, value, bounds, verdict = found[0]
    assert verdict == "holds"
    assert bounds == required(number)
    assert value == ("-" if number["value"] is None else f"{number['value']:.3g}")


@pytest.mark.parametrize("number", RECORDED, ids=lambda number: number["recorded"])
def test_a_recorded_number_follows_from_the_recorded_points(number):
    found = summary_of(number["chapter"])[number["recorded"]]
    assert found == pytest.approx(number["value"], rel=5e-3)
    cells = {cell.id: cell for cell in read(number["chapter"]).cells}
    assert cells[number["cell"]].cell_type == "code"


def test_there_is_evidence_of_both_kinds():
    assert LIVE
    assert RECORDED


GOOD = {"what": "a", "value": 1, "at_most": 2, "chapter": "c", "cell": "x", "check": "a"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"evidence": [GOOD | {"recorded": "b"}]}, "one of ['check', 'recorded']"),
        ({"evidence": [{k: v for k, v in GOOD.items() if k != "at_most"}]}, "and a bound"),
        ({"evidence": [GOOD | {"value": 3}]}, "a is 3, not in"),
        ({"status": "proved"}, "status 'proved'"),
        ({"extra": "x"}, "keys"),
        ({"id": "C2"}, "occurred before"),
    ],
)
def test_a_malformed_account_is_refused(tmp_path, change, message):
    empty = dict.fromkeys(KEYS, "") | {"status": "not yet", "evidence": []}
    claims = [empty | {"id": i} for i in ("C1", "C2", "C3")]
    claims[2] |= change
    path = tmp_path / "claims.json"
    path.write_text(json.dumps(claims))
    with pytest.raises(ValueError, match=re.escape(message)):
        load_claims(path)
