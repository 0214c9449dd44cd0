"""`BytePairMerger`: byte-pair encoding of many words at once, by operations that keep nothing between calls."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from mmkeras.tensors import Tensor

_NEVER = np.iinfo(np.int32).max  # the rank of a pair that no rule merges


class BytePairMerger:
    """Merges neighbouring ids of words by ranked rules until no rule is left, as byte-pair encoding does.

    By definition the rule of the lowest rank comes first, at its leftmost place, and then all ranks are looked at anew.
    Here a step merges many places at once. A pair may go first if no rule of a lower rank holds near it: an id made of
    one of its parts and others would stand for a longer part of the word than any id does, or would have been made by
    a pair nearby. So a word is looked at in blocks of twice the longest id, and a pair goes with the lowest rank of its
    block and the two beside it. Of a run of one id, in which pairs overlap, every second goes, once all of it may.
    The result is the same; the steps are as many as the rules that build on each other, not as many as the ids.

    Args:
        left: int (M,), the first id of each rule, in the order of their ranks.
        right: int (M,), the second one.
        merged: int (M,), the id that the two become.
        longest: int, the most bytes that an id stands for.

    Call arguments:
        ids: int32 tensor (S,), the ids of the bytes of all words.
        word: int32 tensor (S,), the number of each one's word, in rising order.

    Returns:
        Pair of int32 tensors (T,), the ids that are left and the numbers of their words.

    References:
        Sennrich et al. 2016 (arXiv 1508.07909), section 3.2.
    """

    def __init__(self, left: Sequence[int], right: Sequence[int], merged: Sequence[int], longest: int) -> None:
        pairs = np.stack([np.asarray(left, np.int64), np.asarray(right, np.int64)])
        self._base = int(max(pairs.max(initial=0), np.max(merged, initial=0))) + 1
        keys = pairs[0] * self._base + pairs[1]
        order = np.argsort(keys, kind="stable")
        # A key of no pair at the end: what is searched for is always found before the end.
        self._keys = np.append(keys[order], np.iinfo(np.int64).max)
        self._ranks = np.append(order, _NEVER).astype(np.int32)
        self._merged = np.append(np.asarray(merged, np.int32)[order], 0).astype(np.int32)
        # Where an id may be made by a rule of a higher rank than one that it takes part in, a pair that goes first may
        # come up late: then the lowest rank's leftmost place goes alone.
        made = np.full(self._base, -1, np.int64)
        np.maximum.at(made, np.asarray(merged, np.int64), np.arange(len(keys)))
        self._in_turn = bool((made[pairs].max(axis=0, initial=-1) > np.arange(len(keys))).any())
        self._block = len(keys) and 2 * longest

    def __call__(self, ids: Tensor, word: Tensor) -> tuple[Tensor, Tensor]:
        count = tf.size(ids)
        place = tf.range(count)
        begins = tf.concat([[True], word[1:] != word[:-1]], 0)[:count]
        start = tf.gather(tf.boolean_mask(place, begins), tf.cumsum(tf.cast(begins, tf.int32)) - 1)
        opens = begins if self._in_turn else (place - start) % self._block == 0
        block = tf.cumsum(tf.cast(opens, tf.int32)) - 1
        word_of = tf.boolean_mask(word, opens)
        here = tf.range(tf.size(word_of))
        beside = word_of[1:] == word_of[:-1]
        before = here - tf.cast(tf.concat([[False], beside], 0)[: tf.size(word_of)], tf.int32)
        behind = here + tf.cast(tf.concat([beside, [False]], 0)[: tf.size(word_of)], tf.int32)

        def step(_, ids, block):
            return self._step(ids, block, word_of, before, behind)

        one = tf.TensorShape([None])
        _, ids, block = tf.while_loop(
            lambda changed, *_: changed,
            step,
            (count > 1, ids, block),
            shape_invariants=(tf.TensorShape([]), one, one),
        )
        return ids, tf.gather(word_of, block)

    def _step(self, ids, block, word_of, before, behind):
        """Merge what may go first: whether anything was, the ids and their blocks."""
        left, own = ids[:-1], block[:-1]
        asked = tf.cast(left, tf.int64) * self._base + tf.cast(ids[1:], tf.int64)
        found = tf.searchsorted(tf.constant(self._keys), asked)
        word = tf.gather(word_of, block)
        holds = tf.logical_and(word[1:] == word[:-1], tf.gather(tf.constant(self._keys), found) == asked)
        rank = tf.where(holds, tf.gather(tf.constant(self._ranks), found), _NEVER)
        lowest = tf.math.unsorted_segment_min(rank, own, tf.size(word_of))
        lowest = tf.minimum(lowest, tf.minimum(tf.gather(lowest, before), tf.gather(lowest, behind)))
        first = tf.logical_and(holds, rank == tf.gather(lowest, own))
        if self._in_turn:
            place = tf.range(tf.size(rank))
            leftmost = tf.math.unsorted_segment_min(tf.where(first, place, _NEVER), own, tf.size(word_of))
            goes = place == tf.gather(leftmost, own)
        else:
            overlap = tf.reduce_any(tf.logical_and(holds[1:], rank[1:] == rank[:-1]))
            goes = tf.cond(overlap, lambda: _every_second(first, rank), lambda: first)
        kept = tf.where(tf.concat([[True], tf.logical_not(goes)], 0))[:, 0]
        ids = tf.concat([tf.where(goes, tf.gather(tf.constant(self._merged), found), left), ids[-1:]], 0)
        ids, block = tf.gather(ids, kept), tf.gather(block, kept)
        return tf.reduce_any(goes), ids, block


def _every_second(first, rank):
    """Of runs of a pair that overlaps itself every second one, where all of the run may go."""
    place = tf.range(tf.size(rank))
    opens = tf.concat([[True], rank[1:] != rank[:-1]], 0)
    run = tf.cumsum(tf.cast(opens, tf.int32)) - 1
    whole = tf.math.segment_min(tf.cast(first, tf.int32), run) == 1
    start = tf.boolean_mask(place, opens)
    return tf.logical_and(tf.gather(whole, run), (place - tf.gather(start, run)) % 2 == 0)
