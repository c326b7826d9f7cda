"""The embedding that needs no model: hashed character n-grams, weighted by the logarithm of how often they occur.

After P. Bojanowski et al., Enriching Word Vectors with Subword Information (2017), which hashes the n-grams of padded
words likewise; here nothing is learnt. Sparse, so a finding takes no room but its text.
"""

from __future__ import annotations

import math
import zlib
from collections import Counter
from collections.abc import Sequence

SIZES = (3, 4, 5)
BUCKETS = 1 << 20
NAME = "ngrams"
NEAR = 0.34
"""From this cosine on two texts are neighbours; measured on `labelled.json`."""

Vector = dict[int, float]


def vector(text: str) -> Vector:
    """A text's vector, of length 1: bucket -> weight. Empty for a text without a letter or digit."""
    counts: Counter[int] = Counter()
    for word in "".join(char if char.isalnum() else " " for char in text.lower()).split():
        padded = f"<{word}>"
        for size in SIZES:
            counts.update(
                zlib.crc32(padded[start : start + size].encode()) % BUCKETS for start in range(len(padded) - size + 1)
            )
    weights = {bucket: 1 + math.log(count) for bucket, count in counts.items()}
    length = math.sqrt(sum(weight * weight for weight in weights.values()))
    return {bucket: weight / length for bucket, weight in weights.items()}


def cosine(one: Vector, other: Vector) -> float:
    """0 for texts that share nothing, 1 for the same."""
    few, many = sorted((one, other), key=len)
    return sum(weight * many.get(bucket, 0.0) for bucket, weight in few.items())


def similarities(text: str, others: Sequence[str]) -> list[float]:
    """The cosine of a text to each of the others."""
    mine = vector(text)
    return [cosine(mine, vector(one)) for one in others]
