"""Decides how the 3D Secure page reads: the bank's question, answered either way."""

from __future__ import annotations

from aiohttp import web

from sandbox.money import amount_text
from sandbox.pages.layout import render
from sandbox.pages.markup import Markup, tag


def authentication_page(amount: int, currency: str) -> web.Response:
    """The bank asks whether it is really you."""
    total = amount_text(amount, currency)
    return render(
        "3D Secure test page",
        tag("h1", "3D Secure test page"),
        tag(
            "div",
            tag("p", f"Your bank would now ask you to confirm the payment of {total}."),
            tag(
                "form",
                _answer("complete", "Complete authentication", "main", autofocus=True),
                _answer("fail", "Fail authentication", "main plain"),
                method="post",
            ),
            class_="card",
        ),
    )


def _answer(value: str, label: str, look: str, *, autofocus: bool = False) -> Markup:
    return tag(
        "button", label, name="result", value=value, class_=look, id=value, autofocus=autofocus
    )
