"""HTML of the control page's sections on API requests: faults, and the requests received."""

from __future__ import annotations

from collections.abc import Sequence

from sandbox.faults import Fault
from sandbox.pages.components import button, table, time_tag
from sandbox.pages.markup import Markup, tag
from sandbox.request_log import LoggedRequest

_METHODS = ("*", "GET", "POST", "DELETE")
_DROPS = {"": "No", "request": "The request", "answer": "The answer"}


def faults_section(faults: Sequence[Fault]) -> Markup:
    """The faults that are set, and a form that adds one."""
    return tag("div", _fault_table(faults) if faults else None, _fault_form())


def requests_section(requests: Sequence[LoggedRequest]) -> Markup:
    """The last requests, newest first."""
    if not requests:
        return tag("p", "None yet.", class_="quiet")
    return table(
        ("Time", "Request", "Result", "Idempotency key"),
        [
            (
                time_tag(each.at),
                tag("code", f"{each.method} {each.path}"),
                _result(each),
                tag("code", each.idempotency_key or ""),
            )
            for each in reversed(requests)
        ],
    )


def _result(request: LoggedRequest) -> Markup:
    text = f"{request.status} {request.error or ''}" if request.status else "connection closed"
    if request.replayed:
        text = f"{text} (replayed)"
    good = 200 <= request.status < 400
    return tag("span", text.strip(), class_=f"status {'good' if good else 'bad'}")


def _fault_table(faults: Sequence[Fault]) -> Markup:
    return tag(
        "div",
        table(
            ("Requests", "Fault", "Applies to"),
            [
                (
                    tag("code", _target(fault)),
                    _described(fault),
                    f"{_reach(fault)}; {fault.matched} matched",
                )
                for fault in faults
            ],
        ),
        button("/sandbox/faults/clear", "Remove all faults"),
    )


def _target(fault: Fault) -> str:
    return f"{fault.method} {fault.path}" + (f" with a key …{fault.key}" if fault.key else "")


def _described(fault: Fault) -> str:
    parts = [
        f"{fault.delay:g} s late" if fault.delay else "",
        f"error {fault.status} {fault.code or fault.type}".strip() if fault.status else "",
        f"{fault.drop} lost" if fault.drop else "",
    ]
    return ", ".join(filter(None, parts))


def _reach(fault: Fault) -> str:
    reach = f"the next {fault.times}" if fault.times else "all"
    return f"{reach} after {fault.after}" if fault.after else reach


def _fault_form() -> Markup:
    return tag(
        "form",
        tag(
            "div",
            _choice("method", "Method", {name: name for name in _METHODS}),
            _field("path", "Path, such as /v1/refunds", "*"),
            _field("times", "For the next requests (0: all)", "1"),
            _field("status", "Error status (0: none)", "0"),
            _field("code", "Error code", ""),
            _field("delay", "Delay, seconds", "0"),
            _choice("drop", "Lose", _DROPS),
            class_="switches",
        ),
        tag("button", "Add the fault", class_="main"),
        method="post",
        action="/sandbox/faults",
        class_="card",
    )


def _field(name: str, label: str, value: str) -> Markup:
    identifier = f"fault-{name}"
    return tag(
        "div",
        tag("label", label, for_=identifier),
        tag("input", id=identifier, name=name, value=value),
    )


def _choice(name: str, label: str, choices: dict[str, str]) -> Markup:
    identifier = f"fault-{name}"
    options = [tag("option", shown, value=value) for value, shown in choices.items()]
    return tag(
        "div",
        tag("label", label, for_=identifier),
        tag("select", *options, id=identifier, name=name),
    )
