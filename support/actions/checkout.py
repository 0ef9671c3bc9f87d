"""Staff actions on Checkout: close it to new customers, and open it again."""

from __future__ import annotations

from billing.models import CheckoutSettings
from support.actions.base import ActionRefused, StaffAction
from support.models import SupportAction

_COLUMNS = ("closed_to_new_customers_at",)


class CloseCheckout(StaffAction[CheckoutSettings]):
    kind = "close_checkout"
    model = CheckoutSettings
    label = "Close to new customers…"
    done_label = "checkout closed to new customers"
    permission_label = "Can close checkout to new customers"
    roles = ("support", "finance")
    explanation = (
        "Customers without a completed payment get no payment link until somebody opens Checkout "
        "again. Everybody else can pay, and links that were given out before can still be paid. "
        "Use it while stolen cards are being tried."
    )
    recorded = _COLUMNS

    def unavailable_reason(self) -> str:
        return "It is closed." if self.subject.closed_to_new_customers_at else ""

    def run(self, action: SupportAction) -> str:
        if not CheckoutSettings.objects.close_to_new_customers():
            raise ActionRefused("It was closed meanwhile.")
        return "Checkout is closed to new customers."


class OpenCheckout(StaffAction[CheckoutSettings]):
    kind = "open_checkout"
    model = CheckoutSettings
    label = "Open to new customers…"
    done_label = "checkout opened to new customers"
    permission_label = "Can open checkout to new customers"
    roles = ("support", "finance")
    explanation = "Customers without a completed payment can pay again."
    recorded = _COLUMNS

    def unavailable_reason(self) -> str:
        return "" if self.subject.closed_to_new_customers_at else "It is open."

    def run(self, action: SupportAction) -> str:
        if not CheckoutSettings.objects.open_to_new_customers():
            raise ActionRefused("It was opened meanwhile.")
        return "Checkout is open to everybody."
