"""API errors: Stripe's types, codes and messages.

Stripe docs: https://docs.stripe.com/api/errors and https://docs.stripe.com/error-codes
"""

from __future__ import annotations

from typing import Any

from sandbox.json_types import JsonObject


class ApiError(Exception):
    """An error response of Stripe's API."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        **details: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.kind = kind
        self.code = code
        self.param = param
        self.details = details

    def envelope(self, request_id: str) -> JsonObject:
        """The response body."""
        error = {
            "code": self.code,
            "doc_url": doc_url(self.code) if self.code else None,
            "message": self.message,
            "param": self.param,
            "request_log_url": f"https://dashboard.stripe.com/test/logs/{request_id}",
            "type": self.kind,
            **self.details,
        }
        return {"error": {name: value for name, value in error.items() if value is not None}}


class CardError(ApiError):
    """A declined payment. The failed charge and its events are kept."""

    def __init__(self, message: str, code: str, **details: Any) -> None:
        super().__init__(402, message, kind="card_error", code=code, **details)


def doc_url(code: str) -> str:
    """The page of Stripe's documentation about an error code."""
    return f"https://stripe.com/docs/error-codes/{code.replace('_', '-')}"


def invalid(message: str, *, param: str | None = None, code: str | None = None) -> ApiError:
    """A 400 `invalid_request_error`."""
    return ApiError(400, message, param=param, code=code)


def parameter_missing(param: str) -> ApiError:
    """A required parameter is missing."""
    return invalid(f"Missing required param: {param}.", param=param, code="parameter_missing")


def parameter_unknown(*params: str) -> ApiError:
    """The route does not have these parameters."""
    plural = "s" if len(params) > 1 else ""
    return invalid(
        f"Received unknown parameter{plural}: {', '.join(params)}",
        param=params[0],
        code="parameter_unknown",
    )


def parameter_invalid_empty(param: str) -> ApiError:
    """An empty string, which unsets a parameter, for one that cannot be unset."""
    return invalid(
        f"You passed an empty string for '{param}'. We assume empty values are an attempt to unset "
        f"a parameter; however '{param}' cannot be unset. You should remove '{param}' from your "
        "request or supply a non-empty value.",
        param=param,
        code="parameter_invalid_empty",
    )


def exclusive(*params: str) -> ApiError:
    """Parameters that cannot be sent together."""
    return invalid(
        f"You may only specify one of these parameters: {', '.join(params)}.", param=params[0]
    )


def not_supported(what: str, *, param: str | None = None) -> ApiError:
    """Stripe supports it, the sandbox does not."""
    return invalid(f"Stripe has {what}, which this sandbox does not cover.", param=param)


def parameter_not_supported(param: str) -> ApiError:
    """Stripe documents the parameter, the sandbox does not use it."""
    return not_supported(f"the parameter {param}", param=param)


# As Stripe writes them; other kinds are written in plain words.
_NAMES = {"payment_intent": "payment_intent", "payment_method": "PaymentMethod"}


def resource_missing(kind: str, identifier: str, *, param: str = "id") -> ApiError:
    """No such object: 404 if the id is in the path, 400 if it is in a parameter."""
    name = _NAMES.get(kind, kind.replace("_", " "))
    return ApiError(
        404 if param in {"id", "intent", "session"} else 400,
        f"No such {name}: '{identifier}'",
        code="resource_missing",
        param=param,
    )
