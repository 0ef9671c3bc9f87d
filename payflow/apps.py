from django.apps import AppConfig
from django.core.signals import request_started

from payflow import db


class PayflowConfig(AppConfig):
    name = "payflow"

    def ready(self) -> None:
        request_started.connect(db.close_stale_connections)
