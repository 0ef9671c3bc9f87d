from django.apps import AppConfig


class BillingConfig(AppConfig):
    name = "billing"

    def ready(self) -> None:
        from billing import mails  # noqa: PLC0415 - needs the models

        mails.register()
