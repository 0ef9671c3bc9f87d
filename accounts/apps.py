from django.apps import AppConfig
from django.utils.module_loading import import_string


class AccountsConfig(AppConfig):
    name = "accounts"

    def ready(self) -> None:
        added = import_string("allauth.mfa.signals.authenticator_added")
        added.connect(import_string("accounts.second_factor.note_addition"))
