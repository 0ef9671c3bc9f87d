"""The language of an account, for its mails: the one chosen on a page, else its first."""

from __future__ import annotations

from django.conf import settings
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse
from django.utils import translation
from django.views.i18n import set_language

from accounts.models import User


def choose(request: HttpRequest) -> HttpResponse:
    """Keep the language that was chosen, in a cookie and with the account; go back to the page."""
    if request.method == "POST":
        chosen = request.POST.get("language", "")
        if chosen not in dict(settings.LANGUAGES):
            raise BadRequest("There is no such language.")
        if request.user.is_authenticated:
            _remember(request.user, chosen)
    response: HttpResponse = set_language(request)
    return response


def learn(user: User) -> None:
    """At a sign-in: mails to an account that chose no language are in that of the page."""
    if not user.language:
        _remember(user, current())


def current() -> str:
    """The language of the page."""
    return translation.get_language() or settings.LANGUAGE_CODE


def _remember(user: User, language: str) -> None:
    user.language = language
    user.save(update_fields=["language"])
