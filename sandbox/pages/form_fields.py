"""Accessible form fields: label, hint, error message."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sandbox.pages.markup import Markup, tag
from sandbox.pages.translations import translate


@dataclass(frozen=True)
class Form:
    """Submitted values and their errors."""

    values: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    """Field name to message, in the order of the page."""
    language: str = "en"

    def say(self, text: str) -> str:
        """A text of the page in the page's language."""
        return translate(text, self.language)

    def error_of(self, name: str) -> str | None:
        """A field's error in the page's language."""
        return self.say(self.errors[name]) if name in self.errors else None

    def text_field(
        self, name: str, label: str, *, hint: str | None = None, **attributes: str | bool | None
    ) -> Markup:
        """A labelled input. The first invalid field gets the focus."""
        error = self.error_of(name)
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
            tag("label", self.say(label), for_=name),
            control,
            tag("p", hint, id=f"{name}-hint", class_="hint") if hint else None,
            tag("p", error, id=f"{name}-fault", class_="fault") if error else None,
        )

    def select_field(
        self, name: str, label: str, options: Sequence[tuple[str, str]], *, required: bool = False
    ) -> Markup:
        """A labelled selection of values with their texts."""
        error = self.error_of(name)
        choices = [
            tag("option", text, value=value, selected=value == self.values.get(name))
            for value, text in options
        ]
        control = tag(
            "select",
            *choices,
            id=name,
            name=name,
            required=required,
            aria_invalid="true" if error else None,
            aria_describedby=f"{name}-fault" if error else None,
            autofocus=name == next(iter(self.errors), None),
        )
        fault = tag("p", error, id=f"{name}-fault", class_="fault") if error else None
        return tag("div", tag("label", self.say(label), for_=name), control, fault)

    def checkbox(self, name: str, label: str) -> Markup:
        """A labelled checkbox."""
        error = self.error_of(name)
        box = tag(
            "input",
            type="checkbox",
            id=name,
            name=name,
            value="on",
            checked=name in self.values,
            aria_invalid="true" if error else None,
            aria_describedby=f"{name}-fault" if error else None,
            autofocus=name == next(iter(self.errors), None),
        )
        fault = tag("p", error, id=f"{name}-fault", class_="fault") if error else None
        return tag("div", tag("label", box, self.say(label), class_="check", for_=name), fault)

    def radio_group(
        self, name: str, legend: str, options: Sequence[tuple[str, str]], chosen: str | None
    ) -> Markup:
        """A group of radio buttons, with values and their texts."""
        choices = [
            tag(
                "label",
                tag(
                    "input",
                    type="radio",
                    name=name,
                    value=value,
                    id=f"{name}-{value}",
                    checked=value == chosen,
                ),
                self.say(text),
                class_="choice",
            )
            for value, text in options
        ]
        return tag("fieldset", tag("legend", self.say(legend)), *choices)

    def alert(self, message: str | None) -> Markup | None:
        """The error summary, announced by screen readers."""
        sentences = [message] if message else [self.say(text) for text in self.errors.values()]
        if not sentences:
            return None
        text = sentences[0] if len(sentences) == 1 else "Please check the highlighted fields."
        return tag("div", text, role="alert", class_="alert")
