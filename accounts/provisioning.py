"""Users by the id that another backend has for them."""

from __future__ import annotations

import re
from typing import NamedTuple

from django.db import IntegrityError, transaction

from accounts.models import User

MAX_LENGTH = 255
PATTERN = r"^[^\u0000-\u001f\u007f-\u009f]{1,255}$"
# A lone surrogate, which JSON can hold, is no character.
_EXTERNAL_ID = re.compile(r"[^\u0000-\u001f\u007f-\u009f\ud800-\udfff]{1,255}")


class EmailTaken(Exception):
    """Another account has the address."""

    code = "email_taken"
    detail = "Another account has this email address."


class Provisioned(NamedTuple):
    user: User
    is_new: bool


def is_external_id(text: str) -> bool:
    return _EXTERNAL_ID.fullmatch(text) is not None


def find(external_id: str) -> User | None:
    """The user, active or not."""
    if not is_external_id(external_id):
        return None
    return User.objects.filter(external_id=external_id).first()


def provision(external_id: str, *, email: str, name: str) -> Provisioned:
    """Make the user, or change email and name of the one there is. Raises EmailTaken.

    Concurrent calls make one user: the second waits for the unique index and finds the first's.
    """
    user = find(external_id)
    if user is None:
        try:
            with transaction.atomic():
                made = User.objects.create_user(email, name=name, external_id=external_id)
            return Provisioned(made, is_new=True)
        except IntegrityError:
            user = find(external_id)
        if user is None:
            raise EmailTaken
    return Provisioned(_updated(user, User.normalize_username(email), name), is_new=False)


def _updated(user: User, email: str, name: str) -> User:
    if (user.email, user.name) == (email, name):
        return user
    user.email, user.name = email, name
    try:
        with transaction.atomic():
            user.save(update_fields=["email", "name"])
    except IntegrityError:
        raise EmailTaken from None
    return user
