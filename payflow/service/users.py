"""Users by their external id: make or change, read, erase, and a token for one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import provisioning, tokens
from accounts.models import User
from apikeys.validators import validate_no_secret
from payflow import personal_data
from payflow.openapi.autoschema import TEXT
from payflow.service.views import ServiceView
from restapi.bodies import RequestBody
from restapi.exceptions import Refused
from restapi.fields import EXTERNAL_ID_SCHEMA, is_external_id
from restapi.schema import operation

MAX_EMAIL_LENGTH = 254
TOKEN_LIFETIME = timedelta(minutes=15)

_EXTERNAL_ID = OpenApiParameter(
    "externalId",
    EXTERNAL_ID_SCHEMA,
    OpenApiParameter.PATH,
    description="Your id of the user: any text of up to 255 characters, percent-encoded, `/` too.",
)


# Whether an address exists is for the other backend to know.
_EMAIL = r"^[^@\s\u0000-\u001f\u007f-\u009f]{1,64}@[^@\s\u0000-\u001f\u007f-\u009f]{1,189}$"


@extend_schema_field({"type": "string", "pattern": _EMAIL, "description": "In any case."})
class EmailField(serializers.RegexField):
    def __init__(self) -> None:
        super().__init__(_EMAIL, trim_whitespace=False)


@extend_schema_field({"type": "string", "maxLength": 200, "pattern": TEXT})
class NameField(serializers.CharField):
    def __init__(self) -> None:
        super().__init__(
            max_length=200,
            required=False,
            trim_whitespace=False,
            validators=[validate_no_secret],
        )

    def run_validation(self, data: Any = serializers.empty) -> Any:
        """Not by `allow_blank`, which would be described as one of two schemas."""
        return data if data == "" else super().run_validation(data)


class ServiceUserBody(RequestBody):
    email = EmailField()
    name = NameField()

    def validate_email(self, value: str) -> str:
        """As it is stored, which may be longer."""
        email = User.normalize_username(value)
        if len(email) > MAX_EMAIL_LENGTH:
            raise serializers.ValidationError("This is too long.", "max_length")
        return email


class ServiceUserSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField(help_text="The id here, as `X-User-Id` of a verified key has it.")
    externalId = serializers.CharField()  # noqa: N815 - the API speaks camelCase
    email = serializers.CharField()
    name = serializers.CharField()
    active = serializers.BooleanField(
        help_text="False: staff have closed the account; its keys and tokens are refused."
    )
    createdAt = serializers.DateTimeField()  # noqa: N815


class ErasedSerializer(serializers.Serializer[Any]):
    success = serializers.BooleanField()


class UserTokenSerializer(serializers.Serializer[Any]):
    access = serializers.CharField(help_text="The JSON Web Token to send as bearer.")
    tokenType = serializers.ChoiceField(choices=["Bearer"])  # noqa: N815
    expiresIn = serializers.IntegerField(help_text="Seconds until `access` expires.")  # noqa: N815


def user_answer(user: User) -> dict[str, Any]:
    return {
        "id": user.pk,
        "externalId": user.external_id,
        "email": user.email,
        "name": user.name,
        "active": user.is_active,
        "createdAt": user.date_joined,
    }


@extend_schema(parameters=[_EXTERNAL_ID])
class UserView(ServiceView):
    @operation("service_users_retrieve", response=ServiceUserSerializer)
    def get(self, request: Request, externalId: str) -> Response:  # noqa: N803
        """Read a user.

        By your own id of the user.
        """
        return Response(user_answer(_user(externalId)))

    @operation(
        "service_users_put",
        request=ServiceUserBody,
        response=ServiceUserSerializer,
        problems=("email_taken",),
    )
    def put(self, request: Request, externalId: str) -> Response:  # noqa: N803
        """Make or change a user.

        There is one user for each of your ids, however often and concurrently this is sent. Email
        and name become those of the body; a name that is left out becomes empty.
        """
        body = ServiceUserBody.read(request)
        if not is_external_id(externalId):
            raise Http404
        try:
            found = provisioning.provision(
                externalId, email=body["email"], name=body.get("name", "")
            )
        except provisioning.EmailTaken as error:
            raise Refused(error.code, error.detail) from None
        return Response(user_answer(found.user))

    @operation("service_users_delete", response=ErasedSerializer)
    def delete(self, request: Request, externalId: str) -> Response:  # noqa: N803
        """Erase a user.

        Ends the account and its keys at once and removes the person's data, as `erase_user` does;
        orders stay, without the person. Your id is free again. An erasure that was interrupted is
        finished by a repeat.
        """
        personal_data.erase(_user(externalId))
        return Response({"success": True})


@extend_schema(parameters=[_EXTERNAL_ID])
class UserTokenView(ServiceView):
    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Other methods are about a user whose id ends in "/token", which was "%2Ftoken"."""
        if request.method in ("POST", "OPTIONS"):
            return super().dispatch(request, *args, **kwargs)
        return user_view(request, externalId=f"{kwargs['externalId']}/token")

    @operation("service_users_token", response=UserTokenSerializer)
    def post(self, request: Request, externalId: str) -> Response:  # noqa: N803
        """Issue a token for a user.

        A JSON Web Token that acts as the user for 15 minutes: hand it to your frontend. A 404 if
        the account was closed.
        """
        user = _user(externalId)
        if not user.is_active:
            raise Http404
        body = {
            "access": tokens.issue_access(user, TOKEN_LIFETIME),
            "tokenType": "Bearer",
            "expiresIn": int(TOKEN_LIFETIME.total_seconds()),
        }
        return Response(body, headers={"Cache-Control": "no-store"})


user_view = UserView.as_view()


def _user(external_id: str) -> User:
    user = provisioning.find(external_id)
    if user is None:
        raise Http404
    return user
