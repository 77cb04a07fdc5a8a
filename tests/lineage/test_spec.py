"""The frozen spec, and the key by which equal computations are known."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ubspark.lineage.spec import (
    SPEC_VERSION,
    CatalogInput,
    FileInput,
    FrozenSpec,
    InputRecord,
    TableInput,
    to_canonical_json,
)

TABLE = TableInput("/w/hip", "id-1", 3, {"columns": None, "roles": {"ra": "ra"}})
FILES = FileInput("/data/x", [("a.csv", 5, "aa"), ("b.csv", 6, "bb")], {"format": "csv"})
HATS = CatalogInput("/data/hats", "dd", 7, 800, {"where": "mag < 18"})
SPEC = FrozenSpec(
    job="crossmatch",
    job_version="1",
    inputs={"left": TABLE, "right": FILES},
    params={"radius": 1.0, "how": "inner", "suffixes": ["_a", "_b"]},
    outputs={"matches": {"uri": "/w/out", "mode": "error"}},
    resources={"master": "local[2]"},
    run={"user": "ana"},
)


def with_input(record: InputRecord) -> FrozenSpec:
    return replace(SPEC, inputs={**SPEC.inputs, "left": record})


@pytest.mark.parametrize(
    "other",
    [
        replace(SPEC, resources={"memory": "64g"}),
        replace(SPEC, run={"user": "eva", "tags": {"paper": "first"}}),
        replace(SPEC, outputs={"matches": {"uri": "/elsewhere", "mode": "overwrite"}}),
        replace(SPEC, params=dict(reversed(list(SPEC.params.items())))),
        replace(SPEC, inputs=dict(reversed(list(SPEC.inputs.items())))),
        with_input(replace(TABLE, uri="/moved/hip")),
        replace(SPEC, inputs={"left": TABLE, "right": replace(FILES, uri="/moved")}),
        replace(SPEC, inputs={"left": TABLE, "right": replace(FILES, files=FILES.files[::-1])}),
        replace(
            SPEC,
            inputs={"left": TABLE, "right": replace(FILES, files=[("c", 6, "bb"), ("d", 5, "aa")])},
        ),
    ],
)
def test_what_does_not_decide_the_rows_is_not_in_the_key(other: FrozenSpec) -> None:
    assert other.key == SPEC.key


@pytest.mark.parametrize(
    "other",
    [
        replace(SPEC, job="neighbors"),
        replace(SPEC, job_version="2"),
        replace(SPEC, params={**SPEC.params, "radius": 1.5}),
        replace(SPEC, params={**SPEC.params, "suffixes": ["_b", "_a"]}),
        replace(SPEC, params={"radius": 1.0}),
        replace(SPEC, outputs={**SPEC.outputs, "more": {"uri": "/w/more", "mode": "error"}}),
        replace(SPEC, inputs={"left": FILES, "right": TABLE}),
        replace(SPEC, submission="s1"),
        with_input(replace(TABLE, version=4)),
        with_input(replace(TABLE, table_id="id-2")),
        with_input(replace(TABLE, options={"columns": ["ra"], "roles": {"ra": "ra"}})),
        with_input(HATS),
        replace(SPEC, inputs={"left": TABLE, "right": replace(FILES, files=FILES.files[:1])}),
        replace(SPEC, inputs={"left": TABLE, "right": replace(FILES, files=[*FILES.files] * 2)}),
        replace(SPEC, inputs={"left": TABLE, "right": replace(FILES, options={"format": "fits"})}),
    ],
)
def test_what_decides_the_rows_is_in_the_key(other: FrozenSpec) -> None:
    assert other.key != SPEC.key


def test_catalog_is_known_by_its_digest_and_what_is_asked_of_it() -> None:
    key = with_input(HATS).key
    assert with_input(replace(HATS, uri="/moved")).key == key
    assert with_input(replace(HATS, digest="ee")).key != key
    assert with_input(replace(HATS, options={"where": "mag < 17"})).key != key


def test_key_stays_what_it_was() -> None:
    """Tables out there carry it: who changes it changes `SPEC_VERSION` and says so."""
    assert SPEC_VERSION == 1
    assert SPEC.key == "f0bbf6c515fed61df8bcde0b670b8559bb0821b1e46a3e93b6c2b7197a91f76f"
    assert replace(SPEC, submission="s1").key != SPEC.key


def test_content_is_in_the_key_and_older_keys_count() -> None:
    """Two copies of a table share id and version, and may have gone different ways."""
    one, other = (with_input(replace(TABLE, content=digest)) for digest in ("a", "b"))
    assert len({one.key, other.key, SPEC.key}) == 3
    assert one.keys == {one.key, SPEC.key}
    assert SPEC.keys == {SPEC.key}
    assert one.to_json()["inputs"]["left"]["content"] == "a"
    assert one.count_like(SPEC.to_json()).key == SPEC.key
    assert one.count_like(one.to_json()).key == one.key


def test_spec_is_json_and_says_all_that_made_it() -> None:
    content = SPEC.to_json()
    assert json.loads(json.dumps(content)) == content
    assert content["key"] == SPEC.key
    assert content["inputs"]["left"] == {
        "kind": "delta",
        "uri": "/w/hip",
        "table_id": "id-1",
        "version": 3,
        "options": {"columns": None, "roles": {"ra": "ra"}},
    }
    assert content["inputs"]["right"]["files"] == [["a.csv", 5, "aa"], ["b.csv", 6, "bb"]]
    assert content["inputs"]["right"]["digest"] == FILES.digest
    assert HATS.to_json()["kind"] == "hats"
    assert {"resources", "run", "outputs", "params", "submission"} <= content.keys()


@pytest.mark.parametrize(
    ("mode", "appends"), [("error", False), ("overwrite", False), ("append", True)]
)
def test_append_is_known_by_its_mode(mode: str, appends: bool) -> None:
    spec = replace(SPEC, outputs={"matches": {"uri": "/w/out", "mode": mode}})
    assert spec.is_append == appends


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), values))
def test_canonical_text_is_json_and_blind_to_the_order_of_keys(content: Mapping[str, Any]) -> None:
    text = to_canonical_json(content)
    assert json.loads(text) == content
    assert to_canonical_json(dict(reversed(list(content.items())))) == text


def test_canonical_text_has_no_spaces_and_keeps_letters() -> None:
    assert to_canonical_json({"b": [1, 2.5], "a": "é"}) == '{"a":"é","b":[1,2.5]}'
