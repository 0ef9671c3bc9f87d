"""App configurations: the support app, and Django's admin with support's site."""

from django.apps import AppConfig
from django.contrib.admin import apps as admin


class SupportAdminConfig(admin.AdminConfig):
    default = False
    default_site = "support.site.SupportSite"


class SupportConfig(AppConfig):
    default = True
    name = "support"
    verbose_name = "Support"
