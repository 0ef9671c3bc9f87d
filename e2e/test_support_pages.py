"""Every page of the admin, wide and narrow: screenshots, axe, no overflow."""

from __future__ import annotations

import os
import re

import psycopg
import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib import admin
from playwright.sync_api import Page, ViewportSize, expect

from devtools.pytest_postgres import is_postgres
from e2e.customer import DECLINED_CARD, Customer
from e2e.stack import Stack
from e2e.support_agent import SupportAgent

WIDE: ViewportSize = {"width": 1280, "height": 900}
NARROW: ViewportSize = {"width": 390, "height": 844}
GRAVE = ("serious", "critical")

# A month of payments for the dashboard.
HISTORY = """
INSERT INTO conversations (user_id, title, payment_status, stripe_session_id, created_at)
SELECT (SELECT min(id) FROM users), 'History ' || i,
       CASE WHEN i %% 5 = 0 THEN 'pending' ELSE 'paid' END, %(run)s || i,
       now() - i * interval '70 minutes'
FROM generate_series(1, 900) i;
INSERT INTO orders (user_id, conversation_id, stripe_session_id, amount_cents, status, paid_at,
                    refunded_cents, refunded_at, is_duplicate, created_at)
SELECT user_id, id, stripe_session_id, 2000,
       CASE WHEN id %% 19 = 0 THEN 'failed' WHEN id %% 67 = 0 THEN 'pending' ELSE 'completed' END,
       created_at, CASE WHEN id %% 31 = 0 THEN 2000 ELSE 0 END,
       CASE WHEN id %% 31 = 0 THEN created_at END, id %% 331 = 0, created_at
FROM conversations
WHERE payment_status = 'paid' AND stripe_session_id LIKE %(run)s || '%%'
  AND (id * 7 + extract(doy FROM created_at)::int * 5) %% 10
      < 4 + extract(dow FROM created_at)::int;
-- The longest type, and an outcome that names a refund.
INSERT INTO stripe_events (event_id, type, payload, status, outcome)
VALUES ('evt_3PbC9BUGQN03LIhE' || left(md5(%(run)s), 8),
        'checkout.session.async_payment_succeeded', '{}', 'processed',
        'order 47: refund re_3ApiIbx48FcfwWQ1ZzyCgjoO is already succeeded');
"""

# Whether a list must be scrolled sideways, as on a phone.
IS_CUT_OFF = """
    [...document.querySelectorAll('#changelist .results')].some(e => e.scrollWidth > e.clientWidth)
"""


@pytest.fixture
def viewport(request: pytest.FixtureRequest) -> ViewportSize:
    chosen: ViewportSize = request.param
    return chosen


def grave_barriers(page: Page) -> list[str]:
    # Preloading makes axe insert styles, which the content security policy refuses.
    violations = Axe().run(page, options={"preload": False}).response["violations"]
    return [f"{v['id']}: {v['nodes'][0]['html']}" for v in violations if v["impact"] in GRAVE]


def add_history(run: str) -> None:
    url = os.environ["DATABASE_URL"]
    if is_postgres(url):
        with psycopg.connect(url) as database:
            for statement in HISTORY.split(";\n"):
                if statement.strip():
                    database.execute(statement, {"run": f"cs_history_{run}_"})


class Inspection:
    """Takes each page's screenshot and collects what is wrong."""

    def __init__(self, agent: SupportAgent, width: int) -> None:
        self.agent = agent
        self.width = width
        self.faults: list[str] = []

    def __call__(self, name: str) -> None:
        page = self.agent.page
        self.agent.shoot(f"desk-{name}-{self.width}")
        found = page.evaluate("document.documentElement.scrollWidth")
        if found > self.width:
            self.faults.append(f"{name} is {found} pixels wide")
        if self.width == WIDE["width"] and page.evaluate(IS_CUT_OFF):
            self.faults.append(f"{name} cuts off columns")
        self.faults += [f"{name}: {barrier}" for barrier in grave_barriers(page)]


@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"], indirect=True)
def test_every_page_of_the_admin(
    customer: Customer, page: Page, stack: Stack, viewport: ViewportSize
) -> None:
    width, agent = viewport["width"], SupportAgent(page, stack)
    check = Inspection(agent, width)
    page.goto("/admin/")
    check("sign-in")
    page.goto("/")
    customer.sign_in()
    add_history(str(width))
    customer.start_conversation(f"A declined card {width}")
    customer.go_to_checkout(f"A declined card {width}")
    customer.enter_card(DECLINED_CARD)
    page.get_by_role("alert").first.wait_for()
    customer.pay_for(f"Blue bicycle {width}")
    page.goto("/admin/billing/order/")
    agent.open(re.compile(r"^Order \d+"))
    order_page = page.url
    agent.do("Suspend key")
    agent.do("Restore key")
    check("order")
    for label, name in (("Refund…", "action"), ("checkout.session.completed", "event")):
        agent.open(label)
        check(name)
        page.goto(order_page)
    agent.open(re.compile("^sk_"))
    check("key")
    page.goto(order_page)
    agent.open(re.compile("Blue bicycle"))
    check("conversation")
    agent.find(stack.email)
    check("user")
    agent.open("Edit account")
    check("edit-account")
    agent.find("sk_live_pasted_by_mistake")
    check("search")
    lists = [f"{each._meta.label_lower.replace('.', '/')}/" for each in admin.site._registry]
    for path in ("", *lists, "accounts/user/add/", "password_change/"):
        page.goto(f"/admin/{path}")
        check(f"list-{path.rstrip('/').replace('/', '-')}" if path else "home")
    assert not check.faults, "\n".join(check.faults)


@pytest.mark.parametrize("viewport", [NARROW], ids=["narrow"], indirect=True)
def test_on_a_phone_every_list_is_a_tap_or_two_from_the_first_page(
    customer: Customer, page: Page, viewport: ViewportSize
) -> None:
    page.goto("/")
    customer.sign_in()
    for model in admin.site._registry:
        changelist = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        page.goto("/admin/")
        link = page.locator(f".lists a[href='{changelist}']")
        expect(link, str(model)).to_be_visible()
        link.click()
        expect(page).to_have_url(re.compile(re.escape(changelist)))
        expect(page.locator("#content h1")).to_be_visible()
