from django.apps import AppConfig
from django.core import checks
from django.core.signals import request_started
from django.db.models.signals import post_migrate
from django.utils.module_loading import import_string

from payflow import db
from payflow.checks import former_migrations


class PayflowConfig(AppConfig):
    name = "payflow"

    def ready(self) -> None:
        import_string("payflow.accounts.register_kinds")()
        import_string("payflow.key_mails.register")()
        describe_by = import_string("notifications.events.describe_by")
        describe_by(import_string("payflow.service.events.describe"))
        request_started.connect(db.begin_request)
        post_migrate.connect(db.limit_lock_waits, sender=self)
        checks.register(former_migrations, checks.Tags.database)
