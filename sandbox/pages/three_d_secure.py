"""The 3D Secure page, with buttons to complete or fail the check."""

from __future__ import annotations

from aiohttp import web

from sandbox.pages.layout import render
from sandbox.pages.markup import Markup, tag


def authentication_page(subject: str) -> web.Response:
    """The page that asks the customer to authenticate; `subject` is what they confirm."""
    return render(
        "3D Secure test page",
        tag("h1", "3D Secure test page"),
        tag(
            "div",
            tag("p", f"Your bank would now ask you to confirm {subject}."),
            tag(
                "form",
                _result_button("complete", "Complete authentication", "main", autofocus=True),
                _result_button("fail", "Fail authentication", "main plain"),
                method="post",
            ),
            class_="card",
        ),
    )


def _result_button(value: str, label: str, look: str, *, autofocus: bool = False) -> Markup:
    return tag(
        "button", label, name="result", value=value, class_=look, id=value, autofocus=autofocus
    )
