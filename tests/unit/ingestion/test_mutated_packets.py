"""Of ten thousand damaged packets the decoder says what fastavro says: the same values, or an error; see `mutations` for what it refuses more."""

from __future__ import annotations

import collections

from tests.unit.ingestion.mutations import disagreements, samples, tried


def test_the_verdict_on_a_damaged_packet_is_that_of_fastavro():
    verdicts: collections.Counter[str] = collections.Counter()
    for i, (verdict, why) in enumerate(tried(10_000, seed=1)):
        assert verdict != "different", f"mutation {i}: {why}"
        verdicts[verdict] += 1
    assert verdicts["same"] > 1000
    assert verdicts["refused"] > 1000
    assert verdicts["stricter"] > 10


def test_whole_packets_are_the_same():
    assert set(disagreements(samples())) == {("same", "")}
