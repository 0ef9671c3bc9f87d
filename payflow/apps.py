from django.apps import AppConfig
from django.core import checks
from django.core.signals import request_started

from payflow import db
from payflow.checks import former_migrations


class PayflowConfig(AppConfig):
    name = "payflow"

    def ready(self) -> None:
        request_started.connect(db.close_stale_connections)
        checks.register(former_migrations, checks.Tags.database)
