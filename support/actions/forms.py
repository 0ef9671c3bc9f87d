"""The form of every confirmation page: a reason, and a token that makes it act once."""

from __future__ import annotations

from django import forms

from apikeys.secret_patterns import redact
from support.models import MAX_REASON_LENGTH


class ReasonForm(forms.Form):
    token = forms.UUIDField(widget=forms.HiddenInput)
    next = forms.CharField(required=False, widget=forms.HiddenInput)
    reason = forms.CharField(
        max_length=MAX_REASON_LENGTH,
        widget=forms.Textarea(attrs={"rows": 3, "maxlength": MAX_REASON_LENGTH}),
    )

    def clean_reason(self) -> str:
        """A reason is stored and read by many: refuse one with a secret, and don't repeat it."""
        reason = str(self.cleaned_data["reason"])
        clean = redact(reason)
        if clean != reason:
            self.data = {**self.data, "reason": clean}
            raise forms.ValidationError("This contains a key or another secret. Leave it out.")
        return reason
