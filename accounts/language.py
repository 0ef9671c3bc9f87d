"""The language of an account: that of its pages and mails."""

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


def apply(request: HttpRequest, response: HttpResponse, user: User) -> None:
    """After a sign-in: the browser gets the account's language, or the account the browser's."""
    if not user.language:
        _remember(user, translation.get_language() or settings.LANGUAGE_CODE)
    elif settings.LANGUAGE_COOKIE_NAME not in request.COOKIES:
        response.set_cookie(
            settings.LANGUAGE_COOKIE_NAME,
            user.language,
            max_age=settings.LANGUAGE_COOKIE_AGE,
            secure=settings.LANGUAGE_COOKIE_SECURE,
            httponly=settings.LANGUAGE_COOKIE_HTTPONLY,
            samesite="Lax",
        )


def _remember(user: User, language: str) -> None:
    user.language = language
    user.save(update_fields=["language"])
