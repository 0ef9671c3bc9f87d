"""One example of each kind of secret."""

from __future__ import annotations

import hashlib

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJlLW9mLXRoZS10b2tlbg"
API_KEY = "sk_" + hashlib.sha256(b"an API key").hexdigest()

STRIPE_LOOKS = {
    "secret key": "sk_live_51Habcdefghijklmnop",
    "secret test key": "sk_test_of_the_tests",
    "organisation's key": "sk_org_live_51Habcdefghijklmnop",
    "restricted key": "rk_live_51Habcdefghijklmnop",
    "organisation's restricted key": "rk_org_test_51Habcdefghijklmnop",
    "publishable key": "pk_live_51Habcdefghijklmnop",
    "publishable test key": "pk_test_51Habcdefghijklmnop",
    "signing secret": "whsec_0123456789/+abc=",
    "client secret": "pi_3abc_secret_0123456789abcdef",
    "client secret of a session": "cs_test_a1b2_secret_AbcdefghijklmnopqrstuvwXY",
}
JWT_LOOKS = {
    "JWT": JWT,
    "JWT without a signature": JWT[: JWT.rindex(".")],
    "unsigned JWT": "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.",
    "JWT cut in its header": "eyJhbGciOiJIUzI1NiJ9",
}
KEY_LOOKS = {"API key": API_KEY, "API key, cut": API_KEY[:35]}
SERVICE_LOOKS = {"service token": "svc_" + hashlib.sha256(b"a service token").hexdigest()}
LOOKS = {**STRIPE_LOOKS, **JWT_LOOKS, **KEY_LOOKS, **SERVICE_LOOKS}
