"""Permissions: every role on every page and every staff action."""

from __future__ import annotations

import re
import uuid
from io import StringIO

import pytest
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from accounts.models import ServiceToken, User
from apikeys.models import ApiKey, Grant
from billing.models import CheckoutSettings, Order, StripeEvent
from notifications import endpoints
from notifications.models import Endpoint, Notification
from support.actions import registry
from support.actions.base import StaffAction
from support.actions.registry import STAFF_ACTIONS
from support.models import SupportAction
from support.tests.conftest import StaffClient
from support.tests.test_pages import LISTS, act, pages_of
from testing.keys import issued_key

STAFF = ("support", "refunds", "finance", "auditor", "root", "none")
READERS = ("support", "refunds", "finance", "auditor", "root")

# Written out, not read from the classes: the test would not notice a wrong role otherwise.
MAY = {
    "revoke_key": {"support", "root"},
    "suspend_key": {"support", "root"},
    "restore_key": {"support", "root"},
    "stop_grant": {"support", "root"},
    "resume_grant": {"support", "root"},
    "resend_reveal": {"support", "root"},
    "replay_event": {"support", "root"},
    "reconcile": {"support", "finance", "root"},
    "mark_handled": {"support", "finance", "root"},
    "clear_review": {"support", "finance", "root"},
    "refund": {"refunds", "finance", "root"},
    "close_checkout": {"support", "finance", "root"},
    "open_checkout": {"support", "finance", "root"},
    "revoke_service_token": {"support", "root"},
    "resend_mail": {"support", "root"},
    "disable_endpoint": {"support", "root"},
    "enable_endpoint": {"support", "root"},
}


def subjects(order: Order) -> dict[type, int]:
    event = StripeEvent.objects.get()
    return {
        Order: order.pk,
        ApiKey: issued_key(order).pk,
        Grant: issued_key(order).grant_id,
        StripeEvent: event.pk,
        CheckoutSettings: CheckoutSettings.objects.current().pk,
        ServiceToken: ServiceToken.objects.get_or_create(name="backend")[0].pk,
        Notification: Notification.objects.filter(user=order.user)[0].pk,
        Endpoint: endpoints.add("https://hooks.example.com/events")[0].pk,
        type(order.conversation): order.conversation_id,
    }


@pytest.mark.parametrize("role", STAFF)
def test_each_role_sees_its_pages(staff: StaffClient, order: Order, role: str) -> None:
    client = staff(role)
    act(order, int(client.session["_auth_user_id"]))
    expected = 200 if role in READERS else 403
    for url in pages_of(order):
        assert client.get(url).status_code == (200 if url == "/admin/" else expected), url


@pytest.mark.parametrize("role", STAFF)
def test_each_role_does_what_it_may_and_nothing_else(
    staff: StaffClient, order: Order, role: str
) -> None:
    client, pk_of = staff(role), subjects(order)
    for action in STAFF_ACTIONS:
        opts = action.model._meta
        url = reverse(
            f"admin:{opts.app_label}_{opts.model_name}_action",
            args=[pk_of[action.model], action.kind],
        )
        allowed = role in MAY[action.kind]
        assert client.get(url).status_code == (200 if allowed else 403), url
        if not allowed:
            form = {"token": str(uuid.uuid4()), "reason": "Because.", "amount": "1"}
            assert client.post(url, {**form, "expected_refunded": "0"}).status_code == 403, url
    assert not SupportAction.objects.exists()


@pytest.mark.parametrize("role", STAFF)
def test_each_page_offers_just_what_the_role_may(
    staff: StaffClient, order: Order, role: str
) -> None:
    client = staff(role)
    if role == "none":
        assert client.get(f"/admin/billing/order/{order.pk}/").status_code == 403
        return
    page = client.get(f"/admin/billing/order/{order.pk}/")
    buttons = [button for button in page.context["buttons"] if not button.note]
    offered = {button.staff_action.kind for button in buttons}
    for button in buttons:
        assert f">{button.staff_action.label}<" in page.content.decode()
    on_page = {action.kind for action in STAFF_ACTIONS if action.model in (Order, ApiKey, Grant)}
    assert offered == {kind for kind in on_page if role in MAY[kind]}


def test_the_desk_has_no_page_of_another_package(staff: StaffClient, order: Order) -> None:
    root = staff("root")
    for path in ("account/emailaddress", "mfa/authenticator", "auth/group", "axes/accessattempt"):
        assert root.get(f"/admin/{path}/").status_code == 404
        assert f"/admin/{path}/" not in root.get("/admin/").content.decode()


@pytest.mark.parametrize("role", STAFF)
def test_nobody_adds_or_edits_money_events_or_keys(
    staff: StaffClient, order: Order, role: str
) -> None:
    client = staff(role)
    for path in ("billing/order", "billing/stripeevent", "apikeys/apikey", "support/supportaction"):
        for route in ("add/", "1/change/", "1/delete/"):
            assert client.get(f"/admin/{path}/{route}").status_code == 404
            assert client.post(f"/admin/{path}/{route}", {}).status_code == 404
    before = Order.objects.values().get()
    page = client.post(f"/admin/billing/order/{order.pk}/", {"amount_cents": "1"})
    assert page.status_code in (200, 403)
    assert Order.objects.values().get() == before


@pytest.mark.parametrize("role", ["support", "finance", "auditor"])
def test_only_superusers_edit_accounts(staff: StaffClient, order: Order, role: str) -> None:
    client = staff(role)
    for route in ("add/", f"{order.user_id}/edit/", f"{order.user_id}/delete/"):
        assert client.get(f"/admin/accounts/user/{route}").status_code == 403
    assert client.get(f"/admin/accounts/user/{order.user_id}/password/").status_code == 403
    root = staff("root")
    assert root.get("/admin/auth/group/").status_code == 404  # roles are made by the command
    assert root.get(f"/admin/accounts/user/{order.user_id}/edit/").status_code == 200


@pytest.mark.parametrize("path", LISTS[:4])
@pytest.mark.parametrize("role", ["auditor", "none"])
def test_an_export_is_for_those_who_may_read(
    staff: StaffClient, order: Order, path: str, role: str
) -> None:
    client = staff(role)
    assert client.get(f"/admin/{path}/export/").status_code == 405
    answer = client.post(f"/admin/{path}/export/")
    assert answer.status_code == (200 if role == "auditor" else 403)
    assert SupportAction.objects.filter(kind="export").exists() == (role == "auditor")


def test_customers_and_strangers_stay_outside(order: Order, owner: tuple[User, Client]) -> None:
    for client in (owner[1], Client()):
        for url in ("/admin/", f"/admin/billing/order/{order.pk}/"):
            assert client.get(url).status_code == 302
        assert client.post("/admin/search/", {"q": "1"}).status_code == 302


@pytest.mark.parametrize("change", [{"is_active": False}, {"is_staff": False}])
def test_deactivated_staff_are_out_at_once(
    staff: StaffClient, order: Order, change: dict[str, bool]
) -> None:
    client = staff("support")
    page = f"/admin/billing/order/{order.pk}/"
    assert client.get(page).status_code == 200
    User.objects.filter(email="support@staff.example.com").update(**change)
    assert client.get(page).status_code == 302


def test_a_superuser_deactivates_staff_in_the_admin(staff: StaffClient) -> None:
    root, client = staff("root"), staff("support")
    colleague = User.objects.get(email="support@staff.example.com")
    form = {"email": colleague.email, "name": colleague.name, "is_staff": "on"}
    answer = root.post(f"/admin/accounts/user/{colleague.pk}/edit/", form)
    assert answer.status_code == 302, answer.content
    colleague.refresh_from_db()
    assert not colleague.is_active
    assert client.get("/admin/").status_code == 302


@pytest.mark.django_db
def test_create_roles_restores_missing_permissions() -> None:
    out = StringIO()
    call_command("create_roles", stdout=out)
    support = Group.objects.get(name="support")
    support.permissions.clear()
    call_command("create_roles", stdout=out)
    names = {"support", "refunds", "finance", "auditor"}
    assert set(Group.objects.values_list("name", flat=True)) == names
    assert support.permissions.count() == 11 + 16  # models to read, staff actions
    assert "finance: " in out.getvalue()


@pytest.mark.django_db
def test_not_even_a_superuser_sees_the_beginning_of_a_password_hash() -> None:
    superuser = User.objects.create_superuser("root@example.com", "a password of the tests")
    client = Client()
    client.force_login(superuser)
    page = client.get(f"/admin/accounts/user/{superuser.pk}/edit/").content.decode()
    *_, salt, hashed = superuser.password.split("$")
    assert salt[:6] not in page
    assert hashed[:6] not in page
    assert "../password/" in page
    assert client.get(f"/admin/accounts/user/{superuser.pk}/password/").status_code == 200


class AnswerOwner(StaffAction[Order]):
    kind = "answer_owner"
    model = Order
    label = "Answer…"
    done_label = "owner answered"
    permission_label = "Can answer an owner"
    explanation = "Records that the owner got an answer."
    roles = ("auditor",)

    def run(self, action: SupportAction) -> str:
        return f"{self.subject} answered."


def test_a_new_action_needs_its_class_and_its_line_in_the_registry(
    monkeypatch: pytest.MonkeyPatch, order: Order, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setattr(registry, "STAFF_ACTIONS", [*STAFF_ACTIONS, AnswerOwner])
    staff: StaffClient = request.getfixturevalue("staff")
    auditor, finance = staff("auditor"), staff("finance")
    page = f"/admin/billing/order/{order.pk}/"
    assert "Answer…" in auditor.get(page).content.decode()
    assert "Answer…" not in finance.get(page).content.decode()
    form = {"token": str(uuid.uuid4()), "reason": "By phone."}
    assert finance.post(f"{page}answer_owner/", form).status_code == 403
    assert auditor.post(f"{page}answer_owner/", form).status_code == 302
    action = SupportAction.objects.get()
    assert (action.kind, action.order, action.outcome) == (
        "answer_owner",
        order,
        f"Order {order.pk} answered.",
    )
    assert "Owner answered" in auditor.get("/admin/support/supportaction/").content.decode()


def test_each_action_is_named_once_for_its_model_and_described() -> None:
    assert len({(each.model, each.kind) for each in STAFF_ACTIONS}) == len(STAFF_ACTIONS)
    for each in STAFF_ACTIONS:
        assert re.fullmatch(r"[a-z_]{1,32}", each.kind)
        assert all((each.label, each.done_label, each.permission_label, each.explanation))
        assert each.roles
