"""Routes of conversations: the API's, and the customer's page."""

from __future__ import annotations

from django.urls import path
from rest_framework.routers import SimpleRouter

from conversations.api import ConversationViewSet
from conversations.views import HomeView

router = SimpleRouter(trailing_slash=False)
router.register("conversations", ConversationViewSet)

api_urlpatterns = router.urls
urlpatterns = [path("", HomeView.as_view(), name="home")]
