"""Forms of accounts, conversations and staff: clicked twice, reloaded, gone back to, signed out.

Without scripts, where nothing disables the button: both requests of a double click arrive. Forms
that show a key are in test_late_answers.
"""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
import requests
from playwright.sync_api import Browser, Page, Route, expect

from e2e.conftest import TIMEOUT_MS
from e2e.customer import GOOD_CARD, Customer
from e2e.database import add_user, execute
from e2e.stack import Stack
from e2e.support_agent import REASON
from e2e.test_journey import answer_late
from e2e.test_late_answers import forget_the_session


@dataclass
class Person:
    """Somebody in a browser without scripts."""

    page: Page
    stack: Stack
    email: str = field(default_factory=lambda: f"{secrets.token_hex(6)}@example.com")
    password: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    other: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    id: int = 0

    def sign_in(self, password: str = "") -> None:
        self.page.goto("/accounts/login/")
        self.page.get_by_label("Email").fill(self.email)
        self.page.get_by_label("Password").fill(password or self.password)
        self.page.get_by_role("button", name="Sign in").click()
        expect(self.page.get_by_role("button", name="Sign out")).to_be_visible()

    def count(self, table: str, condition: str = "user_id = %s") -> int:
        sql = f"SELECT count(*) FROM {table} WHERE {condition}"  # noqa: S608 - of this module
        return int(execute(sql, self.id)[0][0])

    def mails(self, kind: str) -> int:
        rows = execute(
            "SELECT count(*) FROM outbox WHERE user_id = %s AND kind = %s", self.id, kind
        )
        return int(rows[0][0])


@pytest.fixture
def person(browser: Browser, stack: Stack) -> Iterator[Person]:
    with browser.new_context(base_url=stack.url, java_script_enabled=False) as context:
        context.set_default_timeout(TIMEOUT_MS)
        yield Person(context.new_page(), stack)


@dataclass(frozen=True)
class Form:
    """`open` goes to the form, `fill` fills it in, `says` is on the page that follows it.

    `check` asserts that it was done once, or, if it is told so, not at all.
    """

    open: Callable[[Person], None]
    fill: Callable[[Person], None]
    button: str
    says: str
    check: Callable[[Person, int], None]
    needs_account: bool = True
    # Whoever goes back and asks for another mail gets one.
    is_sent_from_back: bool = True


def at(path: str) -> Callable[[Person], None]:
    def open_page(person: Person) -> None:
        person.page.goto(path)

    return open_page


def typed(**fields: str) -> Callable[[Person], None]:
    """Fill fields by their id; a value that begins with a dot is an attribute of the person."""

    def fill(person: Person) -> None:
        for name, value in fields.items():
            text = str(getattr(person, value[1:])) if value.startswith(".") else value
            person.page.locator(f"#id_{name}").fill(text)

    return fill


def open_address(person: Person) -> None:
    if person.page.locator("details:not([open])").count():
        person.page.locator("summary").click()
    typed(email="new.address@example.com", password=".password")(person)


def nothing(person: Person) -> None:
    pass


def check_password(person: Person, done: int) -> None:
    person.page.context.clear_cookies()
    person.sign_in(person.other if done else person.password)
    assert person.mails("account.password_changed") == done


def check_erased(person: Person, done: int) -> None:
    assert person.count("users", "id = %s AND erased_at IS NOT NULL") == done


def check_address(person: Person, done: int) -> None:
    assert person.count("account_emailaddress") == done
    assert person.mails("account.confirm") == person.mails("account.address_changing") == done


def check_sign_up(person: Person, done: int) -> None:
    rows = execute("SELECT id FROM users WHERE email = %s", person.email)
    assert len(rows) == done
    person.id = rows[0][0]
    assert person.count("account_emailaddress") == done
    assert (person.mails("account.confirm"), person.mails("account.exists")) == (done, 0)


def check_reset(person: Person, done: int) -> None:
    assert person.mails("account.reset") == done


def check_sessions(person: Person, done: int) -> None:
    assert person.count("browser_sessions") == (1 if done else 2)


def check_name(person: Person, done: int) -> None:
    assert execute("SELECT name FROM users WHERE id = %s", person.id) == [("Ada" if done else "",)]


def check_conversation(person: Person, done: int) -> None:
    assert person.count("conversations") == done


def open_account_with_another_session(person: Person) -> None:
    forget_the_session(person.page.context)  # it stays signed in elsewhere
    person.sign_in()
    person.page.goto("/account/")


FORMS = {
    "sign up": Form(
        at("/accounts/signup/"),
        typed(email=".email", password1=".password"),
        "Create an account",
        "Look into your mail",
        check_sign_up,
        needs_account=False,
    ),
    "reset": Form(
        at("/accounts/password_reset/"),
        typed(email=".email"),
        "Send the link",
        "Look into your mail",
        check_reset,
        is_sent_from_back=False,
    ),
    "name": Form(at("/account/"), typed(name="Ada"), "Save", "Your name is saved.", check_name),
    "address": Form(
        at("/account/"),
        open_address,
        "Change the address",
        "is not confirmed yet",
        check_address,
    ),
    "sessions": Form(
        open_account_with_another_session,
        nothing,
        "End all other sessions",
        "All other sessions have ended.",
        check_sessions,
    ),
    "password": Form(
        at("/accounts/password_change/"),
        typed(old_password=".password", new_password1=".other", new_password2=".other"),
        "Save",
        "My account|the first time counts|entered incorrectly",
        check_password,
    ),
    "erase": Form(
        at("/account/erase/"),
        typed(password=".password"),
        "Delete my account",
        "Your account is deleted|If you had sent it just before, the first time counts.",
        check_erased,
    ),
    "conversation": Form(at("/"), typed(title="Only one"), "Start", "Only one", check_conversation),
}


def prepare(person: Person, form: Form) -> None:
    if form.needs_account:
        person.id = add_user(person.email, person.password)
        person.sign_in()
    form.open(person)
    form.fill(person)


def answer_posts_late(route: Route) -> None:
    if route.request.method == "POST":
        answer_late(route)
    else:
        route.continue_()


@pytest.mark.parametrize("name", FORMS)
def test_a_form_that_is_clicked_twice_reloaded_and_gone_back_to_acts_once(
    person: Person, name: str
) -> None:
    form, page = FORMS[name], person.page
    prepare(person, form)
    page.route("**/*", answer_posts_late)
    if (left := 60 - time.time() % 60) < 20:  # an address gets one mail of a kind in a minute
        page.wait_for_timeout(left * 1000)
    page.get_by_role("button", name=form.button).dblclick()
    says = page.get_by_role("main").get_by_text(re.compile(form.says)).first
    expect(says).to_be_visible()
    page.unroute_all(behavior="wait")
    page.reload()
    expect(says).to_be_visible()
    page.go_back()
    again = page.get_by_role("button", name=form.button)
    if again.count() and form.is_sent_from_back:
        form.fill(person)
        again.click()
        expect(page.get_by_role("main")).to_be_visible()
    form.check(person, 1)


SIGNED_IN = [name for name in FORMS if name not in ("sign up", "reset")]


@pytest.mark.parametrize("name", SIGNED_IN)
def test_a_form_that_is_sent_after_signing_out_does_nothing_and_leads_to_sign_in(
    person: Person, name: str
) -> None:
    form = FORMS[name]
    prepare(person, form)
    forget_the_session(person.page.context)
    person.page.get_by_role("button", name=form.button).click()
    expect(person.page.get_by_role("heading", name="Sign in")).to_be_visible()
    form.check(person, 0)


def refunds_of(stack: Stack, order: int) -> list[str]:
    """The ids of the order's refunds at the local Stripe."""
    rows = execute("SELECT stripe_payment_intent_id FROM orders WHERE id = %s", order)
    answer = requests.get(
        f"{stack.stripe}/v1/refunds",
        {"payment_intent": rows[0][0]},
        auth=(os.environ["STRIPE_SECRET_KEY"], ""),
        timeout=10,
    )
    return [refund["id"] for refund in answer.json()["data"]]


def test_a_refund_by_staff_that_is_clicked_twice_and_gone_back_to_is_one(
    person: Person, stack: Stack
) -> None:
    page, customer = person.page, Customer(person.page, stack)
    customer.sign_in()
    customer.pay_for("Money back once")
    page.goto("/admin/billing/order/")
    page.locator("#content").get_by_role("link", name=re.compile(r"^Order \d+")).first.click()
    order_page = page.url
    order = int(re.findall(r"/order/(\d+)/", order_page)[0])
    page.locator("#content").get_by_role("link", name="Refund…").first.click()
    page.get_by_label("Reason").fill(REASON)
    page.route("**/*", answer_posts_late)
    page.get_by_role("button", name="Refund", exact=True).dblclick()
    expect(page.locator(".messagelist")).to_be_visible()
    page.unroute_all(behavior="wait")
    page.reload()
    page.go_back()
    again = page.get_by_role("button", name="Refund", exact=True)
    if again.count():
        page.get_by_label("Reason").fill(REASON)
        again.click()
        expect(page.locator("#content")).to_be_visible()
    assert len(refunds_of(stack, order)) == 1
    page.goto(order_page)
    if page.get_by_role("link", name="Refund…").count():
        pytest.fail("A refunded order offers another refund.")


def test_a_payment_that_is_clicked_twice_reloaded_and_gone_back_to_is_one(
    person: Person, stack: Stack
) -> None:
    page = person.page
    person.id = add_user(person.email, person.password)
    person.sign_in()
    rows = execute(
        "INSERT INTO conversations (user_id, title) VALUES (%s, 'Paid once') RETURNING id",
        person.id,
    )
    page.goto(f"/conversations/{rows[0][0]}")
    pay = page.get_by_role("button", name=re.compile("^Pay"))
    page.route("**/pay", answer_late)
    pay.dblclick()
    checkout = page.get_by_role("heading", name="Checkout")
    expect(checkout).to_be_visible()
    page.unroute("**/pay")
    page.reload()
    expect(checkout).to_be_visible()
    page.goto(f"/conversations/{rows[0][0]}")
    pay.click()
    customer = Customer(page, stack)
    customer.enter_card(GOOD_CARD)
    customer.expect_success()
    page.reload()
    customer.expect_success()
    page.go_back()
    assert person.count("orders") == 1
    assert person.count("api_keys") == 1


@pytest.mark.parametrize("action", ["delete", "rename"])
def test_an_action_on_a_key_that_is_reloaded_gone_back_to_or_sent_signed_out_acts_once(
    person: Person, stack: Stack, action: str
) -> None:
    page, customer = person.page, Customer(person.page, stack)
    title = f"A key to {action} {secrets.token_hex(4)}"
    customer.sign_in()
    customer.pay_for(title)
    page.goto("/keys")
    page.get_by_role("link", name=f"{action.title()} key {title}").click()
    address, button = page.url, page.get_by_role("main").get_by_role("button")
    forget_the_session(page.context)
    button.click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    customer.sign_in()
    expect(page).to_have_url(address)  # nothing was done: here is the button again
    if action == "rename":
        page.get_by_label("Name").fill("laptop")
    page.route(f"**/{action}", answer_late)
    button.dblclick()
    expect(page.get_by_role("heading", name="My keys")).to_be_visible()
    page.unroute_all(behavior="wait")
    page.reload()
    page.go_back()
    button = page.get_by_role("main").get_by_role("button")
    if button.count():
        button.click()
    key = int(re.findall(r"/keys/(\d+)/", address)[0])
    name, revoked = execute("SELECT name, revoked_at FROM api_keys WHERE id = %s", key)[0]
    assert (name == "laptop", revoked is not None) == (action == "rename", action == "delete")
