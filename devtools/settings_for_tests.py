"""The whole environment of a test run; every value is made up."""

from __future__ import annotations

from collections.abc import Mapping

SETTINGS: Mapping[str, str] = {
    "ENV_FILE": "",  # a developer's own .env is not read
    "DEBUG": "off",
    "PORT": "3000",
    "LOG_LEVEL": "",
    "SECRET_KEY": "secret-key-of-the-tests-which-protects-nothing-at-all",
    "JWT_SECRET": "jwt-secret-of-the-tests-which-protects-nothing-at-all",
    "SECRET_KEY_FALLBACKS": "",
    "JWT_SECRET_FALLBACKS": "",
    "ALLOWED_HOSTS": "testserver,localhost,127.0.0.1",
    "CORS_ALLOWED_ORIGINS": "",
    "FRONTEND_URL": "http://testserver",
    "STRIPE_SECRET_KEY": "sk_test_of_the_tests",
    "STRIPE_PUBLISHABLE_KEY": "",
    "STRIPE_WEBHOOK_SECRET": "whsec_of_the_tests",
    "STRIPE_PRODUCT_PRICE_ID": "price_sandbox_premium",
    "STRIPE_PRICES": "basic=price_basic,pro=price_pro",
    "STRIPE_DEPLOYMENT": "",
    "STRIPE_API_BASE": "",
    "EVENTS_TO_PRIVATE_NETWORKS": "",
    "EMAIL_URL": "",
    "DEFAULT_FROM_EMAIL": "payflow@example.com",
    "REDIS_URL": "",
    "SIGN_UP": "",
    "STAFF_SECOND_FACTOR": "",
    "STAFF_SESSION_MINUTES": "",
    "REFUND_LIMIT": "",
    "REAUTHENTICATE_ABOVE": "",
    "WEB_THREADS": "4",
    "LOG_FORMAT": "line",
    "METRICS_TOKEN": "",
    "SENTRY_DSN": "",
    "STATIC_ROOT": "",
    # Limits that a busy machine would reach; tests of the limits set their own.
    "STRIPE_CONCURRENCY": "100",
    "LINKS_PER_MINUTE": "0",
    "CONVERSATIONS_PER_MINUTE": "0",
    "DATABASE_DIRECT_URL": "",
    "DATABASE_PREPARE": "",
    "DATABASE_LOCK_TIMEOUT": "20000",
    "DATABASE_STATEMENT_TIMEOUT": "40000",
}
