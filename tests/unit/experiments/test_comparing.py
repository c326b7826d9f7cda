"""When one setting counts as better than another."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.experiments.comparing import compare, effect, sign_flip_p
from services.experiments.model import Guardrail, Objective

ONE = Objective({"f1": "maximize"}, (), alpha=0.05, least_effect=0.01)
GUARDED = replace(ONE, guardrails=(Guardrail("precision", min=0.9),))
BASE = [{"f1": 0.80 + nth / 1000, "precision": 0.95} for nth in range(6)]


def shifted(by: float, precision: float = 0.95) -> list[dict[str, float]]:
    return [{"f1": one["f1"] + by, "precision": precision} for one in BASE]


@given(st.lists(st.sampled_from([-3.0, -1.5, -1.0, 0.0, 0.5, 1.0, 2.0, 2.5]), min_size=1, max_size=9))
def test_the_p_value_is_that_of_all_sign_patterns(differences: list[float]) -> None:
    """A p-value that is too small lets chance into a configuration."""
    patterns = itertools.product((1, -1), repeat=len(differences))
    sums = [math.fsum(sign * abs(one) for sign, one in zip(signs, differences, strict=True)) for signs in patterns]
    expected = sum(one >= math.fsum(differences) for one in sums) / len(sums)
    assert sign_flip_p(differences) == pytest.approx(expected)


def test_known_p_values() -> None:
    """Five pairs that all point one way are one pattern of thirty-two; thirty-two pairs are still exact."""
    assert sign_flip_p([0.1] * 5) == 1 / 32
    assert sign_flip_p([1.0, 2.0, 3.0, -0.5]) == 2 / 16
    assert sign_flip_p([0.0, 0.0]) == 1.0
    assert sign_flip_p([-0.1] * 5) == 1.0
    assert sign_flip_p([0.3] * 32) == 2.0**-32
    with pytest.raises(ValueError, match="33 pairs"):
        sign_flip_p([1.0] * 33)


def test_a_better_setting_wins_and_says_by_what() -> None:
    """The reason is what a person reads before approving."""
    verdict = compare(BASE, shifted(0.05), GUARDED)
    assert verdict.wins
    assert verdict.reasons == ("f1: 0.8525 against 0.8025 (+6.2%, p = 0.0156)",)


@pytest.mark.parametrize(
    ("candidate", "said"),
    [
        (shifted(0.2, precision=0.5), "a guardrail is crossed: precision is 0.5, below 0.9"),
        (shifted(0.0), "f1 may be chance"),
        (shifted(0.002), "f1 is better by too little"),
        (shifted(-0.1), "f1 is worse"),
        ([*shifted(0.3)[:3], *shifted(-0.2)[3:]], "f1 may be chance"),
    ],
)
def test_what_is_no_winner_says_why(candidate: list[dict[str, float]], said: str) -> None:
    """In the system before this one guardrail failures were ignored; a much better metric must not outweigh one."""
    verdict = compare(BASE, candidate, GUARDED)
    assert not verdict.wins
    assert any(reason.startswith(said) for reason in verdict.reasons), verdict.reasons


def test_of_several_metrics_none_may_be_worse() -> None:
    """Faster but wrong more often is not better."""
    both = Objective({"f1": "maximize", "ms": "minimize"}, (), alpha=0.05, least_effect=0.01)
    base = [{"f1": 0.8, "ms": 10.0 + nth} for nth in range(6)]
    fast = [{"f1": 0.8, "ms": one["ms"] / 2} for one in base]
    assert compare(base, fast, both).wins
    verdict = compare(base, [{**one, "f1": 0.79} for one in fast], both)
    assert not verdict.wins
    assert "f1 is worse" in verdict.reasons[0]


def test_alpha_is_shared_between_metrics() -> None:
    """Two looks at chance are two chances."""
    base = [{"f1": 0.8, "ms": 10.0} for _ in range(5)]
    fast = [{"f1": 0.8, "ms": 9.0} for _ in range(5)]
    assert compare(base, fast, replace(ONE, metrics={"ms": "minimize"})).wins  # p = 1/32
    assert not compare(base, fast, replace(ONE, metrics={"f1": "maximize", "ms": "minimize"})).wins


def test_measurements_that_make_no_pairs_are_refused() -> None:
    """Comparing different cases would prove nothing."""
    with pytest.raises(ValueError, match="make no pairs"):
        compare(BASE, shifted(0.1)[:3], ONE)


def test_an_effect_is_always_a_number_that_can_be_told() -> None:
    """From next to nothing to something is a share beyond all numbers, which no signal could carry."""
    assert effect(5e-324, 1.0, "maximize") == -effect(5e-324, 1.0, "minimize") == 1e15


def test_the_effect_is_a_share_of_what_was() -> None:
    """One least effect for milliseconds and for shares."""
    assert effect(10.0, 9.0, "minimize") == pytest.approx(0.1)
    assert effect(-10.0, -9.0, "maximize") == pytest.approx(0.1)
    assert effect(0.0, 0.2, "maximize") == pytest.approx(0.2)
