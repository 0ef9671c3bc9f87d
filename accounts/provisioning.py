"""Users by the id that another backend has for them."""

from __future__ import annotations

from typing import NamedTuple

from django.db import IntegrityError, transaction

from accounts.models import User
from restapi.fields import is_external_id


class EmailTaken(Exception):
    """Another account has the address."""

    code = "email_taken"
    detail = "Another account has this email address."


class Provisioned(NamedTuple):
    user: User
    is_new: bool


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
