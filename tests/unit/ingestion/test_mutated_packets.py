"""Of ten thousand damaged packets the decoder says what fastavro says: the same values, or an error; see `mutations` for what it refuses more."""

from __future__ import annotations

import collections

import numpy as np

from tests.unit.ingestion.mutations import disagreement, mutated, samples


def test_the_verdict_on_a_damaged_packet_is_that_of_fastavro():
    rng = np.random.default_rng(1)
    originals = samples()
    verdicts: collections.Counter[str] = collections.Counter()
    for i in range(10_000):
        packet = mutated(originals[i % len(originals)], rng)
        verdict, why = disagreement(packet)
        assert verdict != "different", f"mutation {i}: {why}"
        verdicts[verdict] += 1
    assert verdicts["same"] > 1000
    assert verdicts["refused"] > 1000
    assert verdicts["stricter"] > 10


def test_whole_packets_are_the_same():
    assert {disagreement(packet) for packet in samples()} == {("same", "")}
