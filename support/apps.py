from django.apps import AppConfig
from django.contrib.admin import apps as admin


class DeskConfig(admin.AdminConfig):
    """Django's admin with our site: `admin.site` everywhere is the support desk."""

    default = False
    default_site = "support.site.Desk"


class SupportConfig(AppConfig):
    default = True
    name = "support"
    verbose_name = "Support"
