from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.policy.messages import Fields, StoredResponse
from proxy.storage.record import DamagedRecord, decode_entry, decode_head, encode_head, entry_of
from tests.storage.samples import head

latin1 = st.text(st.characters(max_codepoint=255), max_size=30)
moments = st.floats(0, 4e9)

heads = st.builds(
    StoredResponse,
    key=st.text(max_size=40),
    vary=st.lists(st.tuples(latin1, st.none() | latin1), max_size=3).map(tuple),
    method=st.sampled_from(["GET", "HEAD"]),
    url=st.text(max_size=40),
    status=st.integers(200, 599),
    reason=latin1,
    fields=st.lists(st.tuples(latin1, latin1), max_size=6).map(Fields),
    request_time=moments,
    response_time=moments,
    length=st.integers(0, 2**40),
    checksum=st.integers(0, 2**32 - 1),
    route=st.text(max_size=10),
    tags=st.lists(st.text(max_size=10), max_size=3).map(tuple),
    fresh_until=moments,
    stale_since=st.none() | moments,
)


@given(heads)
def test_a_head_comes_back_from_its_record_as_it_went_in(stored: StoredResponse) -> None:
    assert decode_head(encode_head(stored)) == stored


@given(heads, st.integers(1, 2**60))
def test_the_index_sees_the_same_entry_in_a_record_as_in_the_head_itself(stored: StoredResponse, number: int) -> None:
    fresh, recovered = entry_of(stored, number, stored.response_time), decode_entry(encode_head(stored), number)
    for name in ("key", "vary", "url", "route", "status", "length", "stored_at", "last_used", "fresh_until", "tags"):
        assert getattr(recovered, name) == getattr(fresh, name), name
    assert (recovered.content_type, recovered.checksum, recovered.record) == (
        fresh.content_type,
        fresh.checksum,
        number,
    )


@given(st.data())
def test_a_record_with_any_byte_changed_is_damaged(data: st.DataObject) -> None:
    record = bytearray(encode_head(head()))
    position = data.draw(st.integers(0, len(record) - 1))
    record[position] ^= data.draw(st.integers(1, 255))
    with pytest.raises(DamagedRecord):
        decode_head(bytes(record))


@given(st.integers(0, 200))
def test_a_record_cut_short_is_damaged(length: int) -> None:
    with pytest.raises(DamagedRecord):
        decode_head(encode_head(head())[:length])


@given(st.binary(max_size=200))
def test_bytes_that_never_were_a_record_are_damaged(data: bytes) -> None:
    with pytest.raises(DamagedRecord):
        decode_entry(data, 1)


def test_a_soft_purged_response_counts_as_fresh_no_longer_than_until_its_purge() -> None:
    assert entry_of(replace(head(at=100), stale_since=120), 1, 100).fresh_until == 120
