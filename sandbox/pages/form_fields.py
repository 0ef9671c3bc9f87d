"""Accessible form fields: label, hint, error message."""

from __future__ import annotations

from dataclasses import dataclass, field

from sandbox.pages.markup import Markup, tag


@dataclass(frozen=True)
class Form:
    """Submitted values and their errors."""

    values: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    """Field name to message, in the order of the page."""

    def text_field(
        self, name: str, label: str, *, hint: str | None = None, **attributes: str | bool | None
    ) -> Markup:
        """A labelled input. The first invalid field gets the focus."""
        error = self.errors.get(name)
        parts = (f"{name}-hint" if hint else "", f"{name}-fault" if error else "")
        control = tag(
            "input",
            id=name,
            name=name,
            value=self.values.get(name),
            aria_invalid="true" if error else None,
            aria_describedby=" ".join(filter(None, parts)) or None,
            autofocus=name == next(iter(self.errors), None),
            **attributes,
        )
        return tag(
            "div",
            tag("label", label, for_=name),
            control,
            tag("p", hint, id=f"{name}-hint", class_="hint") if hint else None,
            tag("p", error, id=f"{name}-fault", class_="fault") if error else None,
        )

    def alert(self, message: str | None) -> Markup | None:
        """The error summary, announced by screen readers."""
        sentences = [message] if message else list(self.errors.values())
        if not sentences:
            return None
        text = sentences[0] if len(sentences) == 1 else "Please check the highlighted fields."
        return tag("div", text, role="alert", class_="alert")
