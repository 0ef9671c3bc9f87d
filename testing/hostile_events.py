"""Signed webhook bodies that are nearly right: events with members missing, wrong, huge or odd.

The same `Random` makes the same bodies. Nothing is generated from nothing: each body is a valid
event with a few changes, so that most of them get far into the code.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from testing import stripe_events as stripe

Json = stripe.Json
Path = tuple[Any, ...]

_DEEP = 60
VALUES: list[Any] = [
    *(None, True, False, 0, -1, 1, 50, 2000, 2**31, 2**53, 2**63 - 1, 2**63, 2**64, -(2**63)),
    *(10**12 - 1, 10**12, 10**40, 0.5, 20.0, 1e308, -0.0),
    *("", " ", "0", "-1", "2000", "1e9", "null", "true", "NaN", "paid", "unpaid", "usd", "JPY"),
    *(
        "\0",
        "a\0b",
        "\ud800",
        "\udfff\ud800",
        "\u202e",
        "\ufeff",
        "ﬃ",
        "İ",
        "٣",
        "\uff11",
        "💳" * 70,
    ),
    *("x" * 255, "x" * 256, "ä" * 3000, "x" * 60_000, "'; DROP TABLE orders; --", "<script>", "%s"),
    *("pi_" + "9" * 252, "pi_" + "9" * 253, "sk_live_" + "0" * 24, "=1+1", "\\u0000", "\\", '"'),
    *([], {}, [[]], [None], {"": ""}, {"id": None}, {"id": "pi_1"}, {"object": {}}, [{"id": 1}]),
]
NAMES = [
    *("", "id", "object", "account", "metadata", "data", "payment_intent", "amount", "livemode"),
    *("currency_conversion", "deployment", "link_id", "__proto__", "a\0b", "\ud800", "x" * 5000),
]
TYPES = [
    *("checkout.session.completed", "checkout.session.expired"),
    *("checkout.session.async_payment_succeeded", "checkout.session.async_payment_failed"),
    *("payment_intent.payment_failed", "payment_intent.failed", "charge.refunded"),
    *("refund.created", "refund.updated", "refund.failed", "charge.refund.updated"),
    *("charge.dispute.created", "charge.dispute.closed", "charge.dispute.funds_withdrawn"),
    *("invoice.paid", "customer.created", ""),
]


def bodies(random: Random, events: list[Json]) -> Iterator[str]:
    """Four for each event on average, in any order, most of them changed."""
    chosen = [*events, *random.choices(events, k=3 * len(events))]
    random.shuffle(chosen)
    last = ""
    for event in chosen:
        if last and random.random() < 0.1:
            yield last  # the same bytes again
        last = body(random, event, others=events)
        yield last


def body(random: Random, event: Json, *, others: list[Json]) -> str:
    """The text of a copy of this event, with up to four changes."""
    changed = copy.deepcopy(event)
    if random.random() < 0.8:
        changed["id"] = f"evt_{random.getrandbits(64):x}"
    for _ in range(random.choice([0, 1, 1, 1, 2, 3, 4])):
        random.choice(CHANGES)(random, changed, others)
    text = json.dumps(changed, indent=random.choice([None, 2]), ensure_ascii=random.random() < 0.5)
    if random.random() < 0.08:
        text = random.choice(TEXT_CHANGES)(random, text)
    return text.encode(errors="surrogatepass").decode(errors="replace")


def _remove(random: Random, event: Json, others: list[Json]) -> None:
    holder, key = _place(random, event)
    del holder[key]


def _replace(random: Random, event: Json, others: list[Json]) -> None:
    holder, key = _place(random, event)
    holder[key] = copy.deepcopy(random.choice(VALUES))


def _replace_in_object(random: Random, event: Json, others: list[Json]) -> None:
    """As `_replace`, of a member that payflow is likely to read."""
    data = event.get("data")
    inner = data.get("object") if isinstance(data, dict) else None
    if isinstance(inner, dict) and inner:
        inner[random.choice(list(inner))] = copy.deepcopy(random.choice(VALUES))


def _borrow(random: Random, event: Json, others: list[Json]) -> None:
    """Another event's value at the same place: its session, customer, amount or type."""
    other = random.choice(others)
    path = random.choice(list(_paths(event)))
    value: Any = other
    for step in path:
        if not isinstance(value, dict) or step not in value:
            return
        value = value[step]
    holder, key = _at(event, path)
    holder[key] = copy.deepcopy(value)


def _swap(random: Random, event: Json, others: list[Json]) -> None:
    """Two values exchanged, unless one holds the other."""
    first, second = (random.choice(list(_paths(event))) for _ in range(2))
    if first[: len(second)] == second or second[: len(first)] == first:
        return
    (one, a), (two, b) = _at(event, first), _at(event, second)
    one[a], two[b] = two[b], one[a]


def _wrap(random: Random, event: Json, others: list[Json]) -> None:
    holder, key = _place(random, event)
    name = random.choice(NAMES)
    for _ in range(random.choice([1, 1, 2, _DEEP])):
        holder[key] = random.choice([[holder[key]], {name: holder[key]}])


def _add(random: Random, event: Json, others: list[Json]) -> None:
    holder, _ = _place(random, event)
    if isinstance(holder, dict):
        holder[random.choice(NAMES)] = copy.deepcopy(random.choice(VALUES))


def _shuffle(random: Random, event: Json, others: list[Json]) -> None:
    """Another order of the members, at the top and in the object."""
    for each in (event, event.get("data")):
        if isinstance(each, dict):
            items = list(each.items())
            random.shuffle(items)
            each.clear()
            each.update(items)


def _retype(random: Random, event: Json, others: list[Json]) -> None:
    event["type"] = random.choice(TYPES)


def _fill(random: Random, event: Json, others: list[Json]) -> None:
    """Many members, of which none is known."""
    holder, _ = _place(random, event)
    if isinstance(holder, dict):
        value = copy.deepcopy(random.choice(VALUES[:40]))
        holder.update({f"member_{number}": value for number in range(random.choice([10, 300]))})


CHANGES: list[Callable[[Random, Json, list[Json]], None]] = [
    *(_remove, _replace, _replace_in_object, _replace_in_object, _borrow, _swap, _wrap, _add),
    *(_shuffle, _retype, _fill),
]


def _repeat_member(random: Random, text: str) -> str:
    """A name that stands twice: the last one counts."""
    name = random.choice(["id", "type", "object", "data", "livemode", "amount_total", "metadata"])
    return text.replace(f'"{name}":', f'"{name}": 1, "{name}":', 1)


def _cut(random: Random, text: str) -> str:
    return text[: random.randrange(len(text))]


def _insert(random: Random, text: str) -> str:
    position = random.randrange(len(text))
    piece = random.choice(["\0", "\\u0000", "\\ud800", "\ufeff", "NaN", "Infinity", "[", "}", "1"])
    return text[:position] + piece + text[position:]


def _surround(random: Random, text: str) -> str:
    return random.choice(["[{}]", " \n{}\t ", "{}{}", "\ufeff{}", '"{}"']).replace("{}", text)


TEXT_CHANGES: list[Callable[[Random, str], str]] = [_repeat_member, _cut, _insert, _surround]


def _place(random: Random, event: Json) -> tuple[Any, Any]:
    """A container and one of its keys."""
    paths = list(_paths(event)) or [("id",)]
    event.setdefault("id", "evt_1")
    return _at(event, random.choice(paths))


def _at(event: Json, path: Path) -> tuple[Any, Any]:
    holder: Any = event
    for step in path[:-1]:
        holder = holder[step]
    return holder, path[-1]


def _paths(value: Any, before: Path = ()) -> Iterator[Path]:
    """The way to each value inside, the short ones first."""
    if isinstance(value, dict):
        steps: list[Any] = list(value)
    elif isinstance(value, list):
        steps = list(range(len(value)))
    else:
        return
    for step in steps[:50]:
        yield (*before, step)
    if len(before) < 5:
        for step in steps[:50]:
            yield from _paths(value[step], (*before, step))
