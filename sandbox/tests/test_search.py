"""Search by Stripe's query language."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from sandbox.tests.shop import Shop

pytestmark = pytest.mark.http


def names(shop: Shop, query: str) -> set[str]:
    return {product.name for product in shop.client.v1.products.search({"query": query}).data}


@pytest.fixture
def books(shop: Shop) -> Shop:
    create = shop.client.v1.products.create
    create({"name": "Red Book", "metadata": {"isbn": "1", "shelf": "a"}})
    create({"name": "Blue book", "metadata": {"isbn": "2", "shelf": "a"}, "active": False})
    create({"name": 'Say "hello"', "metadata": {"shelf": "b"}})
    return shop


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("name:'red book'", {"Red Book"}),
        ("name~'book'", {"Red Book", "Blue book"}),
        ("metadata['isbn']:'2'", {"Blue book"}),
        ('metadata["shelf"]:"a" AND active:"true"', {"Red Book"}),
        ("metadata['shelf']:'a' -active:'true'", {"Blue book"}),
        ("metadata['isbn']:'1' OR metadata['isbn']:'2'", {"Red Book", "Blue book"}),
        ("metadata['isbn']:null AND metadata['shelf']:'b'", {'Say "hello"'}),
        ('name:"say \\"hello\\""', {'Say "hello"'}),
        ("name:'none'", set()),
    ],
)
def test_products_are_found(books: Shop, query: str, found: set[str]) -> None:
    assert names(books, query) == found


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("name:'a' OR name:'b' AND name:'c'", "cannot combine AND and OR"),
        ("colour:'red'", "Field `colour` is an unsupported search field for resource `products`"),
        ("name", "unable to parse"),
        ("name:'a'; DROP TABLE objects", "unable to parse"),
        ("active>'x'", "does not take the value"),
        (" AND ".join(["name:'a'"] * 11), "at most 10 query clauses"),
    ],
)
def test_a_malformed_query_is_refused(shop: Shop, query: str, message: str) -> None:
    with pytest.raises(stripe.InvalidRequestError, match=message):
        names(shop, query)


def test_a_long_result_is_paged_and_counted(shop: Shop) -> None:
    made = [shop.client.v1.customers.create({"name": "Jenny"}).id for _ in range(5)]
    asked: Any = {"query": "name:'jenny'", "limit": 2, "expand": ["total_count"]}

    first = shop.client.v1.customers.search(asked)

    assert (first.has_more, first.to_dict()["total_count"]) == (True, 5)
    assert [customer.id for customer in first.auto_paging_iter()] == made[::-1]


def test_payments_are_found_by_amount_and_state(shop: Shop) -> None:
    paid = shop.paid(amount=700)
    shop.paid(amount=900)
    v1 = shop.client.v1

    intents = v1.payment_intents.search({"query": "amount<800 AND status:'succeeded'"})
    charges = v1.charges.search({"query": "payment_method_details.card.last4:4242 amount>=900"})

    assert [intent.id for intent in intents.data] == [paid["payment_intent"]]
    assert [charge.amount for charge in charges.data] == [900]


def test_prices_are_found_by_product(shop: Shop) -> None:
    product = shop.client.v1.products.create({"name": "Book"})
    price = shop.client.v1.prices.create(
        {"product": product.id, "currency": "usd", "unit_amount": 900}
    )

    found = shop.client.v1.prices.search({"query": f"product:'{product.id}' AND active:'true'"})

    assert [each.id for each in found.data] == [price.id]
