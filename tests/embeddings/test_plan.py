"""Shards of a source: which rows each has, and what tells that they are the same rows."""

import io
import json

import pytest

from mmkeras.embeddings.corpus import Corpus
from mmkeras.embeddings.plan import read_rows, write_plan


def plan_of(place, texts, rows_per_shard=4, worker=0, workers=1):
    file = place / "c.jsonl"
    file.write_text("\n".join(json.dumps({"text": text, "price": price}) for text, price in texts))
    stream = io.BytesIO()
    plan = write_plan(Corpus(file, modality="text"), stream, rows_per_shard, worker, workers)
    return plan, [read_rows(stream, shard, plan.columns) for shard in plan.shards]


TEXTS = [(f"text {number}", number) for number in range(10)]


def test_a_source_is_divided_in_its_order(tmp_path):
    plan, rows = plan_of(tmp_path, TEXTS)
    assert [(shard.name, shard.rows) for shard in plan.shards] == [
        ("part-00000-of-00003.parquet", 4),
        ("part-00001-of-00003.parquet", 4),
        ("part-00002-of-00003.parquet", 2),
    ]
    assert [row.text for shard in rows for row in shard] == [text for text, _ in TEXTS]
    assert plan.columns == {"price": "int64"} and plan.rows == 10 and plan.count == 3


@pytest.mark.parametrize("workers", [1, 2, 3, 5])
def test_workers_share_all_shards_between_them(tmp_path, workers):
    whole, _ = plan_of(tmp_path, TEXTS)
    shared = [plan_of(tmp_path, TEXTS, worker=worker, workers=workers)[0] for worker in range(workers)]
    found = sorted((shard.name, shard.source) for plan in shared for shard in plan.shards)
    assert found == [(shard.name, shard.source) for shard in whole.shards]


def test_a_digest_is_that_of_a_shards_own_rows(tmp_path):
    sources = [[shard.source for shard in plan_of(tmp_path, texts)[0].shards] for texts in (TEXTS, TEXTS)]
    assert sources[0] == sources[1]
    longer = [shard.source for shard in plan_of(tmp_path, [*TEXTS, ("new", 1)])[0].shards]
    assert longer[:2] == sources[0][:2] and longer[2] != sources[0][2]
    other = [shard.source for shard in plan_of(tmp_path, [("text 0", 5), *TEXTS[1:]])[0].shards]
    assert other[0] != sources[0][0] and other[1:] == sources[0][1:]
    # A column of another type is another one in every file.
    typed = [shard.source for shard in plan_of(tmp_path, [*TEXTS[:9], ("text 9", 0.5)])[0].shards]
    assert not set(typed) & set(sources[0])
