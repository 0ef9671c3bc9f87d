"""The payment page without JavaScript: content, validation, redirects."""

from __future__ import annotations

import re

import pytest
import requests

from sandbox.tests.shop import Shop

pytestmark = pytest.mark.http


def alert_of(response: requests.Response) -> str:
    """What a screen reader is told at once."""
    match = re.search(r'role="alert"[^>]*>([^<]*)<', response.text)
    assert match is not None
    return match[1].replace("&#x27;", "'")


def test_the_page_says_what_is_bought_and_that_it_is_a_sandbox(shop: Shop) -> None:
    session = shop.session(customer_email="me@example.com")

    page = requests.get(str(session.url), timeout=5)

    assert page.ok
    for text in ("Sandbox", "Credits", "Pay $5.00", "me@example.com", "http://127.0.0.1:1/cancel"):
        assert text in page.text
    assert "<script" not in page.text
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert page.headers["Cache-Control"] == "no-store"


def test_the_fragment_of_the_sessions_url_does_not_reach_the_success_page(shop: Shop) -> None:
    """A browser adds it to a redirect's target if the form was sent to the page's own URL."""
    session = shop.session()

    page = requests.get(str(session.url), timeout=5)

    assert "#" in str(session.url)
    forms = re.findall(r"<form[^>]*>", page.text)
    assert forms
    assert all(f'action="/c/pay/{session.id}"' in form for form in forms)


def test_what_a_shop_calls_its_goods_is_escaped(shop: Shop) -> None:
    nasty = "<script>alert('x')</script>"
    product = shop.client.v1.products.create({"name": nasty})
    price = shop.client.v1.prices.create(
        {"product": product.id, "currency": "usd", "unit_amount": 500}
    )
    session = shop.session(
        line_items=[{"price": price.id, "quantity": 1}], customer_email='"><b>@x.example'
    )

    page = requests.get(str(session.url), timeout=5)

    assert nasty not in page.text
    assert "<b>" not in page.text
    assert "&lt;script&gt;" in page.text


def test_a_good_card_leads_to_the_success_page(shop: Shop) -> None:
    session = shop.session()

    response = shop.submit(session)

    assert response.status_code == 303
    assert response.headers["Location"] == f"http://127.0.0.1:1/paid?session={session.id}"


SLIPS = {
    "no email": ({"email": ""}, "Your email is required."),
    "half an email": ({"email": "me@"}, "Your email is invalid."),
    "half a number": ({"cardNumber": "4242 4242"}, "Your card number is incomplete."),
    "a mistyped number": ({"cardNumber": "4242424242424241"}, "Your card number is invalid."),
    "no date": ({"cardExpiry": "12"}, "Your card's expiration date is incomplete."),
    "a thirteenth month": ({"cardExpiry": "13/34"}, "Your card's expiration date is invalid."),
    "a past year": ({"cardExpiry": "12/20"}, "Your card's expiration year is invalid."),
    "no security code": ({"cardCvc": "1"}, "Your card's security code is incomplete."),
    "no name": ({"billingName": ""}, "Your name is required."),
}


@pytest.mark.parametrize("name", SLIPS)
def test_a_slip_is_pointed_out_at_its_field_and_nothing_is_charged(shop: Shop, name: str) -> None:
    fields, sentence = SLIPS[name]

    response = shop.submit(shop.session(), **fields)

    assert response.status_code in {400, 402}
    assert alert_of(response) == sentence
    assert 'aria-invalid="true"' in response.text
    assert "autofocus" in response.text
    assert shop.sandbox.events("charge.failed") == []


def test_a_refused_card_is_said_on_the_page_and_the_code_is_not_shown_again(shop: Shop) -> None:
    response = shop.submit(shop.session(), cardNumber="4000000000009995", cardCvc="987")

    assert response.status_code == 402
    assert alert_of(response) == "Your card has insufficient funds."
    assert "987" not in response.text


def test_a_real_card_number_is_refused_and_not_kept(shop: Shop) -> None:
    real = "4539578763621486"

    response = shop.submit(shop.session(), cardNumber=real)

    assert "used a non test card" in alert_of(response)
    assert real not in str(shop.sandbox.events())


def test_3d_secure_asks_and_each_answer_leads_on(shop: Shop) -> None:
    session = shop.session()
    asked = shop.submit(session, cardNumber="4000002500003155")
    where = shop.sandbox.url + asked.headers["Location"]
    assert "Complete authentication" in requests.get(where, timeout=5).text

    failed = requests.post(where, data={"result": "fail"}, timeout=5)
    assert "unable to authenticate" in alert_of(failed)

    shop.submit(session, cardNumber="4000002500003155")
    passed = requests.post(where, data={"result": "complete"}, allow_redirects=False, timeout=5)
    assert passed.headers["Location"].startswith("http://127.0.0.1:1/paid")


def test_the_delayed_method_is_on_the_page(shop: Shop) -> None:
    session = shop.session()

    response = shop.submit(session, paymentMethod="debit", accountNumber="000123456789")

    assert response.status_code == 303
    completed = shop.sandbox.events("checkout.session.completed")[0]["data"]["object"]
    assert completed["payment_status"] == "unpaid"


def test_an_unknown_bank_account_is_refused(shop: Shop) -> None:
    response = shop.submit(shop.session(), paymentMethod="debit", accountNumber="1")

    assert "not one of Stripe's test accounts" in alert_of(response)


def test_a_session_with_nothing_to_pay_asks_for_no_card(shop: Shop) -> None:
    coupon = shop.client.v1.coupons.create({"percent_off": 100})
    session = shop.session(discounts=[{"coupon": coupon.id}])

    page = requests.get(str(session.url), timeout=5).text

    assert "cardNumber" not in page
    assert "Complete order" in page
    assert shop.submit(session, cardNumber="").status_code == 303


def test_an_expired_link_says_so_and_offers_the_way_back(shop: Shop) -> None:
    session = shop.session()
    shop.client.v1.checkout.sessions.expire(session.id)

    page = requests.get(str(session.url), timeout=5)

    assert page.status_code == 410
    assert "no longer valid" in page.text
    assert "http://127.0.0.1:1/cancelled" in page.text
    assert shop.submit(session).status_code == 410


def test_a_page_that_does_not_exist_is_a_plain_404(shop: Shop) -> None:
    for path in ("/c/pay/cs_none", "/c/pay/price_sandbox_premium", "/sandbox/x", "/c/receipt/x"):
        page = requests.get(shop.sandbox.url + path, timeout=5)
        assert page.status_code == 404
        assert "Page not found" in page.text


def test_other_sites_may_not_send_forms(shop: Shop) -> None:
    session = shop.session()

    response = requests.post(
        str(session.url),
        data={"email": "a@example.com"},
        headers={"Origin": "https://evil.example"},
        timeout=5,
    )

    assert response.status_code == 403


def test_a_page_without_an_origin_of_its_own_is_refused(shop: Shop) -> None:
    """As a sandboxed frame on another site is."""
    response = requests.post(str(shop.session().url), headers={"Origin": "null"}, timeout=5)

    assert response.status_code == 403


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:80", "[", ""])
@pytest.mark.parametrize("path", ["/sandbox", "/sandbox/deliveries", "/v1/events"])
def test_a_name_that_another_site_points_here_is_refused(shop: Shop, host: str, path: str) -> None:
    headers = {"Host": host, "Authorization": "Bearer sk_test_x"}

    response = requests.get(shop.sandbox.url + path, headers=headers, timeout=5)

    assert response.status_code == 403


def test_a_claimed_charset_is_not_believed(shop: Shop) -> None:
    form = "application/x-www-form-urlencoded; charset=raw_unicode_escape"

    response = requests.post(
        str(shop.session().url), data=rb"email=\ud800", headers={"Content-Type": form}, timeout=5
    )

    assert response.status_code == 400
    assert r'value="\ud800"' in response.text


def test_a_form_of_another_kind_is_refused_politely(shop: Shop) -> None:
    response = requests.post(str(shop.session().url), files={"email": b"a@b.test"}, timeout=5)

    assert response.status_code == 400
    assert "Not understood" in response.text


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe",
        b"a" * 2**21,
        b"cardNumber=" + b"4" * 5000,
        "cardCvc=\N{FULLWIDTH DIGIT ONE}23".encode(),
    ],
)
def test_nonsense_in_the_form_is_refused_politely(shop: Shop, content: bytes) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}

    response = requests.post(str(shop.session().url), data=content, headers=headers, timeout=5)

    assert response.status_code in {400, 413}
    assert "Traceback" not in response.text
