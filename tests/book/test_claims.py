"""The account of the paper's claims: complete, well formed, and tied to pages that exist."""

from __future__ import annotations

import json
import re

import pytest

from kernel_environment import ROOT
from sphinx_claims import KEYS, load_claims

CLAIMS = ROOT / "data" / "results" / "claims.json"
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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"status": "proved"}, "status 'proved'"),
        ({"extra": "x"}, "keys"),
        ({"id": "C2"}, "occurred before"),
    ],
)
def test_a_malformed_account_is_refused(tmp_path, change, message):
    claims = [dict.fromkeys(KEYS, "") | {"id": i, "status": "not yet"} for i in ("C1", "C2", "C3")]
    claims[2] |= change
    path = tmp_path / "claims.json"
    path.write_text(json.dumps(claims))
    with pytest.raises(ValueError, match=re.escape(message)):
        load_claims(path)
