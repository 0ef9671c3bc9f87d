"""Routes of API keys: what gateways ask, and the customer's pages.

`payflow.api` has those of `/api/api-keys`: they depend on a payment.
"""

from __future__ import annotations

from django.urls import path, re_path

from apikeys import views
from apikeys.forward_auth import verify

api_urlpatterns = [
    re_path(r"^api-keys/verify(?P<below>/[\s\S]*)?$", verify, name="verify"),
]
urlpatterns = [
    path("keys", views.keys, name="keys"),
    path("keys/create", views.create, name="key-create"),
    path("keys/<int:key_id>/reveal", views.reveal, name="key-reveal"),
    path("keys/<int:key_id>/rename", views.rename, name="key-rename"),
    path("keys/<int:key_id>/rotate", views.rotate, name="key-rotate"),
    path("keys/<int:key_id>/delete", views.delete, name="key-delete"),
]
