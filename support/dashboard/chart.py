"""The dashboard's chart: orders by day and outcome, as SVG shapes without scripts or styles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

# From the bottom of a bar to its top.
OUTCOMES = ("completed", "pending", "failed", "duplicate", "refunded")
WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 720, 200, 44, 24, 12
STEPS = (1, 2, 5, 10)


@dataclass(frozen=True, slots=True)
class Bar:
    outcome: str
    x: float
    y: float
    width: float
    height: float
    text: str


@dataclass(frozen=True, slots=True)
class Label:
    x: float
    y: float
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """`rows` holds the same as a table: a day and its number of orders by outcome."""

    bars: Sequence[Bar]
    grid: Sequence[Label]
    days: Sequence[Label]
    rows: Sequence[tuple[date, Sequence[int]]]
    summary: str
    outcomes: Sequence[str] = OUTCOMES
    view_box: str = f"0 0 {WIDTH} {HEIGHT}"
    left: int = LEFT
    right: int = WIDTH


def draw(days: Sequence[date], outcomes: Mapping[date, Mapping[str, int]]) -> Chart:
    """Stacked bars, one a day; days without orders stay empty."""
    rows = [(day, [outcomes.get(day, {}).get(name, 0) for name in OUTCOMES]) for day in days]
    top = _round_up(max((sum(numbers) for _, numbers in rows), default=0))
    slot = (WIDTH - LEFT) / max(len(days), 1)
    bars = [
        bar
        for index, (day, numbers) in enumerate(rows)
        for bar in _stack(day, numbers, LEFT + index * slot, slot, top)
    ]
    return Chart(
        bars=bars,
        grid=[Label(LEFT - 6, _y(value, top), f"{value:,}") for value in (0, top // 2, top)],
        days=[
            Label(round(LEFT + (index + 0.5) * slot, 1), HEIGHT - 6, f"{day:%-d %b}")
            for index, day in enumerate(days)
            if index % 7 == len(days) % 7
        ],
        rows=rows,
        summary=_summary(rows),
    )


def _stack(day: date, numbers: Sequence[int], x: float, slot: float, top: int) -> list[Bar]:
    bars, below = [], 0
    for outcome, number in zip(OUTCOMES, numbers, strict=True):
        if number:
            y = _y(below + number, top)
            height = max(round(_y(below, top) - y, 1), 1.0)
            text = f"{day:%-d %B}: {number:,} {outcome}"
            bars.append(Bar(outcome, round(x + 2, 1), y, round(slot - 4, 1), height, text))
            below += number
    return bars


def _y(value: int, top: int) -> float:
    return round(HEIGHT - BOTTOM - value * (HEIGHT - BOTTOM - TOP) / top, 1)


def _round_up(highest: int) -> int:
    """The axis' end: an even round number at or above the highest bar."""
    power = 1
    while True:
        for step in STEPS:
            if step * power >= max(highest, 2) and step * power % 2 == 0:
                return step * power
        power *= 10


def _summary(rows: Sequence[tuple[date, Sequence[int]]]) -> str:
    totals = [sum(numbers[index] for _, numbers in rows) for index in range(len(OUTCOMES))]
    parts = [f"{total:,} {name}" for total, name in zip(totals, OUTCOMES, strict=True)]
    return f"Orders of {len(rows)} days by outcome: {', '.join(parts)}."
