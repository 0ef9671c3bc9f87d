"""`manage.py setup_stripe`: create or check product, price and webhook endpoint at Stripe."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from billing import stripe_setup
from billing.stripe import client


class Command(BaseCommand):
    help = (
        "Creates or finds product, price and webhook endpoint at Stripe, and prints the lines for "
        ".env. Changes nothing when all is right. STRIPE_SECRET_KEY decides the mode; "
        "STRIPE_WEBHOOK_SECRET and STRIPE_PRODUCT_PRICE_ID may still be missing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--check", action="store_true", help="only report; exit status 1 if anything is wrong"
        )
        parser.add_argument(
            "--url",
            default=settings.FRONTEND_URL,
            help="where Stripe reaches this deployment (FRONTEND_URL: %(default)s)",
        )
        parser.add_argument("--amount", type=int, metavar="CENTS", help="of a price to be created")
        parser.add_argument("--currency", default="usd", help="of a price to be created (usd)")
        parser.add_argument("--product-name", default="API access", help="as Checkout shows it")

    def handle(self, *args: Any, **options: Any) -> None:
        mode = "live" if settings.STRIPE_LIVEMODE else "test"
        self.stdout.write(f"Stripe, {mode} mode, API version {client.API_VERSION}")
        try:
            if options["check"]:
                self._check(options["url"])
            else:
                self._set_up(options)
        except client.StripeFailed as error:
            raise CommandError(f"Stripe failed to {error}; see the log") from None
        except ValueError as error:
            raise CommandError(str(error)) from None

    def _check(self, base: str) -> None:
        found = list(stripe_setup.problems(base))
        for problem in found:
            self.stdout.write(problem)
        if found:
            raise CommandError(f"{len(found)} problems", returncode=1)
        self.stdout.write("All is right.")

    def _set_up(self, options: dict[str, Any]) -> None:
        offer = None
        if options["amount"] is not None:
            offer = stripe_setup.Offer(
                options["amount"], options["currency"].lower(), options["product_name"]
            )
        variables = stripe_setup.set_up(options["url"], offer)
        if not variables:
            self.stdout.write("Nothing to change in .env.")
            return
        self.stdout.write("Set in .env (the secret is shown only now):")
        for name, value in variables.items():
            self.stdout.write(f"{name}={value}")
