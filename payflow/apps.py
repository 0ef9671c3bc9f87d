from django.apps import AppConfig
from django.core.signals import request_started

from payflow import checks, connections  # noqa: F401 - checks registers them


class PayflowConfig(AppConfig):
    name = "payflow"

    def ready(self) -> None:
        request_started.connect(connections.drop_dead)
