from django.apps import AppConfig


class NotificationsConfig(AppConfig):
    name = "notifications"

    def ready(self) -> None:
        from notifications import catalogue  # noqa: F401, PLC0415 - registers; needs the models
