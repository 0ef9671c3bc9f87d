"""Every setting, read from the environment; `.env.example` lists the variables."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path

import django_stubs_ext

from payflow.cache import redis_caches
from payflow.dev_secrets import secrets_for
from payflow.env import (
    Configuration,
    debug_is_on,
    env_file,
    origin_of,
    read_environment,
    refuse,
)
from payflow.http import versions
from payflow.http.routes import API_ROOT

# Makes Django's generic classes subscriptable at run time: `ModelAdmin[Order]`.
django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parent.parent

_env = read_environment(env_file(BASE_DIR))
DEBUG = debug_is_on(_env)
# `manage.py setup_stripe` finds these out: it starts without them.
STRIPE_UNSET = {
    "STRIPE_WEBHOOK_SECRET": "whsec_" + "0" * 32,
    "STRIPE_PRODUCT_PRICE_ID": "price_unset",
}
_fallback = secrets_for(BASE_DIR / ".run") if DEBUG else {}
if sys.argv[1:2] == ["setup_stripe"]:
    _fallback |= STRIPE_UNSET
_config = Configuration(_env, _fallback)

# --- Hosts, origins and secrets ---------------------------------------------------------------
PORT = _config.integer("PORT", 3000, least=1, most=65535)
SECRET_KEY = _config.secret("SECRET_KEY")
SECRET_KEY_FALLBACKS = _config.items("SECRET_KEY_FALLBACKS")
JWT_SECRET = _config.secret("JWT_SECRET", other_than="SECRET_KEY")
JWT_SECRET_FALLBACKS = _config.former_secrets("JWT_SECRET_FALLBACKS")
# Whose id `sub` is, and the `aud` that a token must have.
JWT_SUBJECT = _config.choice("JWT_SUBJECT", "id", "external_id")
JWT_AUDIENCE = _config.text("JWT_AUDIENCE")
ALLOWED_HOSTS = _config.hosts("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
CORS_ALLOWED_ORIGINS = _config.origins("CORS_ALLOWED_ORIGINS")
CORS_URLS_REGEX = rf"^{API_ROOT}/"
CORS_ALLOW_HEADERS = (
    *("accept", "authorization", "content-type", "idempotency-key"),
    *("if-none-match", "payflow-version"),
)
CORS_EXPOSE_HEADERS = (
    *("allow", "etag", "location", "payflow-version", "ratelimit", "ratelimit-policy"),
    *("retry-after", "www-authenticate", "x-request-id"),
    *(f"x-{name}" for name in ("key-id", "key-name", "tier", "user-id")),  # of `verify`
)
FRONTEND_URL = _config.url("FRONTEND_URL", f"http://localhost:{PORT}")

# --- Stripe -----------------------------------------------------------------------------------
STRIPE_SECRET_KEY = _config.stripe_key("STRIPE_SECRET_KEY")
STRIPE_LIVEMODE = STRIPE_SECRET_KEY[3:].startswith("live_")
STRIPE_PUBLISHABLE_KEY = _config.publishable_key("STRIPE_PUBLISHABLE_KEY", live=STRIPE_LIVEMODE)
STRIPE_WEBHOOK_SECRETS = _config.webhook_secrets("STRIPE_WEBHOOK_SECRET")
STRIPE_PRICES = _config.prices("STRIPE_PRODUCT_PRICE_ID", "STRIPE_PRICES")
STRIPE_DEPLOYMENT = _config.tag("STRIPE_DEPLOYMENT")
STRIPE_API_BASE = _config.url("STRIPE_API_BASE")
if STRIPE_API_BASE and STRIPE_LIVEMODE:
    refuse("STRIPE_API_BASE is set: a live STRIPE_SECRET_KEY is only ever sent to Stripe itself.")

# --- Django -----------------------------------------------------------------------------------
ROOT_URLCONF = "payflow.urls"
WSGI_APPLICATION = "payflow.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "accounts.User"
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "login"
TIME_ZONE = "UTC"
USE_TZ = True

# --- Languages of pages and mails (payflow.http.language) -------------------------------------
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "Deutsch")]
# A site's own name, and a folder outside of the checkout whose templates/, static/ and locale/ come
# before those of the checkout.
SITE_NAME = _config.text("SITE_NAME", "payflow")
SUPPORT_ADDRESS = _config.text("SUPPORT_ADDRESS")
SITE_DIR = _config.folder("SITE_DIR")
LOCALE_PATHS = [*([SITE_DIR / "locale"] if SITE_DIR else []), BASE_DIR / "locale"]
FORMAT_MODULE_PATH = ["payflow.formats"]
LANGUAGE_COOKIE_AGE = 365 * 24 * 60 * 60
LANGUAGE_COOKIE_HTTPONLY = True
LANGUAGE_COOKIE_SAMESITE = "Lax"

INSTALLED_APPS = [
    "support",  # before Django's admin: its templates replace the admin's
    "support.apps.SupportAdminConfig",  # Django's admin, with support's site
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "corsheaders",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "axes",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "accounts",
    "conversations",
    "notifications",
    "apikeys",
    "billing",
    "payflow",
]

MIDDLEWARE = [
    "payflow.http.middleware.request_id",
    "payflow.http.access_log.access_log",
    "django.middleware.security.SecurityMiddleware",
    "payflow.http.middleware.content_security_policy",
    "corsheaders.middleware.CorsMiddleware",  # a browser can read refusals and errors too
    "payflow.http.middleware.api_headers",
    "payflow.http.language.language",  # refusals and errors are pages too
    "payflow.http.middleware.refusals",
    "payflow.http.middleware.api_problems",
    "payflow.http.middleware.machine_shortcut",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "payflow.http.middleware.bearer_shortcut",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "accounts.session_list.note_use",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [*([SITE_DIR / "templates"] if SITE_DIR else []), BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
            "builtins": ["payflow.templatetags.site"],
        },
    }
]

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
] + [{"NAME": "accounts.passwords.MaximumLengthValidator"}]

# --- Failed sign-ins (django-axes) ------------------------------------------------------------
AUTHENTICATION_BACKENDS = [
    "payflow.lockout.Backend",
    "django.contrib.auth.backends.ModelBackend",
]
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_HANDLER = "payflow.lockout.Handler"
# Per account and network: a stranger elsewhere can't lock an owner out.
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
# The client's network, as for all limits: TRUSTED_PROXIES says how much of X-Forwarded-For counts.
AXES_CLIENT_IP_CALLABLE = "apikeys.throttling.network_of"
AXES_USERNAME_FORM_FIELD = "username"
AXES_USERNAME_CALLABLE = "payflow.lockout.account"
AXES_LOCKOUT_CALLABLE = "payflow.lockout.response"
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_DISABLE_ACCESS_LOG = True
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False

# --- Second factor (django-allauth) and staff -------------------------------------------------
STAFF_SECOND_FACTOR = _config.choice("STAFF_SECOND_FACTOR", "optional", "required")
# Staff sign in anew after so long, whatever they do.
STAFF_SESSION_MINUTES = _config.integer("STAFF_SESSION_MINUTES", 480)
# In the smallest unit of the order's currency: what the role "refunds" may refund of one order,
# and above what a refund asks for the password or the second factor again.
REFUND_LIMIT = _config.integer("REFUND_LIMIT", 5000)
REAUTHENTICATE_ABOVE = _config.integer("REAUTHENTICATE_ABOVE", 10_000)
ACCOUNT_ADAPTER = "payflow.accounts.AccountAdapter"
# Customers may make accounts of their own.
SIGN_UP = _config.choice("SIGN_UP", "off", "on") == "on"
# Of accounts made by sign-up; accounts.sign_in leaves out those that staff, SQL or a backend made.
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_CHANGE_EMAIL = True
ACCOUNT_EMAIL_UNKNOWN_ACCOUNTS = False
ACCOUNT_EMAIL_NOTIFICATIONS = True
PASSWORD_RESET_TIMEOUT = 7200
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_REAUTHENTICATION_TIMEOUT = 300
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
MFA_ADAPTER = "accounts.second_factor.MFAAdapter"
MFA_ALLOW_UNVERIFIED_EMAIL = True  # staff have no other address to confirm
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes"]

# --- Database ---------------------------------------------------------------------------------
# Processes of `manage.py serve`, and threads of each.
WEB_CONCURRENCY = _config.integer("WEB_CONCURRENCY", 2, least=1)
WEB_THREADS = _config.integer("WEB_THREADS", 4, least=1)
# Threads of a process that may wait for Stripe at the same time. The others serve what does not
# need it, however slow Stripe is.
STRIPE_CONCURRENCY = _config.integer("STRIPE_CONCURRENCY", max(WEB_THREADS // 2, 1), least=1)
# Milliseconds. Shorter than a probe's patience: threads that wait for a lock serve nobody.
DATABASE_LOCK_TIMEOUT = _config.integer("DATABASE_LOCK_TIMEOUT", 1000)
DATABASE_STATEMENT_TIMEOUT = _config.integer("DATABASE_STATEMENT_TIMEOUT", 10_000)
DATABASES = {"default": _config.database("DATABASE_URL", f"sqlite:///{BASE_DIR / 'db.sqlite3'}")}
# Where DATABASE_URL leads to a pooler: the way past it, for the connections that listen.
DATABASE_DIRECT = _config.optional_database("DATABASE_DIRECT_URL")
# Off behind PgBouncer older than 1.21, which forgets prepared statements.
DATABASE_PREPARE = _config.choice("DATABASE_PREPARE", "on", "off") == "on"
_database = DATABASES["default"]
_options = _database.setdefault("OPTIONS", {})
if _database["ENGINE"] == "django.db.backends.postgresql":
    _database["ENGINE"] = "payflow.postgresql"  # Django's, with time limits
    # A new connection costs twelve times the request: every thread keeps its own, and payflow.db
    # closes a stale one.
    _database |= {"CONN_MAX_AGE": None, "CONN_HEALTH_CHECKS": False}
    # A cursor on the server outlives its transaction, and a pooler gives the next one another
    # server. Nothing here reads so many rows at once.
    _database["DISABLE_SERVER_SIDE_CURSORS"] = True
    # Statements of `restapi.prepared_sql` are planned once per connection.
    _options.setdefault("prepare_threshold", 5)
    # The defaults are two minutes for a server that does not answer (psycopg) and two hours for
    # one that has vanished (the kernel).
    _options.setdefault("connect_timeout", 2)
    _options.setdefault("keepalives_idle", 5)
    _options.setdefault("keepalives_interval", 2)
    _options.setdefault("tcp_user_timeout", 6000)
elif _database["ENGINE"] == "django.db.backends.sqlite3":
    # Writers queue for up to 20 s instead of failing with "database is locked".
    _options.setdefault("init_command", "PRAGMA journal_mode=WAL")
    _options.setdefault("transaction_mode", "IMMEDIATE")
    _options.setdefault("timeout", 20)
else:
    refuse("DATABASE_URL must name a PostgreSQL or an SQLite database.")

# --- Mail -------------------------------------------------------------------------------------
# Without a server, mail is written to the console with DEBUG, and waits in the outbox without.
vars().update(_config.email("EMAIL_URL"))
MAIL_IS_SENT = DEBUG or bool(_config.text("EMAIL_URL"))
DEFAULT_FROM_EMAIL = _config.address("DEFAULT_FROM_EMAIL", "payflow@localhost")
EMAIL_TIMEOUT = 10  # seconds for each step of a dialogue
# Endpoints for events may be in a private network, and without TLS.
EVENTS_TO_PRIVATE_NETWORKS = _config.choice("EVENTS_TO_PRIVATE_NETWORKS", "off", "on") == "on"

# --- Caches and limits ------------------------------------------------------------------------
REDIS_URL = _config.redis("REDIS_URL")
_memory = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
CACHES = redis_caches(REDIS_URL) if REDIS_URL else {"default": _memory, "results": _memory}
# 0 is no limit.
API_KEY_REQUESTS_PER_MINUTE = _config.integer("API_KEY_REQUESTS_PER_MINUTE", 6000)
# Of one account; half of it if that has never paid.
LINKS_PER_MINUTE = _config.integer("LINKS_PER_MINUTE", 40)
CONVERSATIONS_PER_MINUTE = _config.integer("CONVERSATIONS_PER_MINUTE", 120)
FAILED_AUTHENTICATIONS_PER_MINUTE = _config.integer("FAILED_AUTHENTICATIONS_PER_MINUTE", 60)

# Keys of another form that were imported by `import_keys`; empty: none.
IMPORTED_KEY_PATTERN = _config.key_pattern("IMPORTED_KEY_PATTERN")

# --- HTTP -------------------------------------------------------------------------------------
# 1 MiB: Stripe's events and all other requests are far smaller.
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
# Nothing is uploaded: files in a form are skipped, and never written to disk.
FILE_UPLOAD_HANDLERS: list[str] = []
# The application stands at "/": no server takes another prefix from a header.
FORCE_SCRIPT_NAME = ""

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "apikeys.authentication.ApiKeyAuthentication",
        "payflow.http.authentication.JWTAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_THROTTLE_CLASSES": ["apikeys.throttling.CallerThrottle"],
    # The number of our own proxies, and so of trusted addresses at the end of X-Forwarded-For. A
    # client can write the others itself.
    "NUM_PROXIES": _config.integer("TRUSTED_PROXIES", 0),
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PARSER_CLASSES": ["payflow.http.parsers.BoundedJSONParser"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "payflow.http.negotiation.JSONOnlyNegotiation",
    "DEFAULT_RENDERER_CLASSES": ["restapi.renderers.OrjsonRenderer"],
    "DEFAULT_SCHEMA_CLASS": "payflow.openapi.autoschema.AutoSchema",
    "EXCEPTION_HANDLER": "payflow.http.problems.exception_handler",
    "COERCE_DECIMAL_TO_STRING": False,
    "UPLOADED_FILES_USE_URL": False,
}

SPECTACULAR_SETTINGS = {
    "OAS_VERSION": "3.1.1",
    "TITLE": "payflow",
    "DESCRIPTION": (BASE_DIR / "payflow" / "openapi" / "introduction.md").read_text(),
    "VERSION": versions.CURRENT,
    "LICENSE": {"name": "Proprietary", "identifier": "LicenseRef-Proprietary"},
    "SERVERS": [{"url": "/", "description": "The server that this document comes from."}],
    "TAGS": [
        {"name": "auth", "description": "JSON Web Tokens for an email address and a password."},
        {"name": "conversations", "description": "What is paid for."},
        {"name": "payments", "description": "Links to Stripe's payment page."},
        {"name": "checkout-sessions", "description": "For the page that Checkout returns to."},
        {"name": "orders", "description": "What became of each payment."},
        {"name": "api-keys", "description": "What a payment gives: keys, shown once."},
        {"name": "service", "description": "For your own backend: users by your ids, events."},
        {"name": "webhooks", "description": "What Stripe sends."},
        {"name": "health", "description": "For load balancers and monitoring."},
    ],
    "SERVE_INCLUDE_SCHEMA": False,
    "COMPONENT_SPLIT_PATCH": False,
    "ENUM_SUFFIX": "",
    "ENUM_ADD_EXPLICIT_BLANK_NULL_CHOICE": False,
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    # payflow.openapi.autoschema reads those of views; others are for developers.
    "DISABLE_DOCSTRING_DESCRIPTIONS": True,
    "ENUM_NAME_OVERRIDES": {
        "PaymentStatus": "conversations.models.PaymentStatus",
        "OrderState": "billing.models.OrderState",
        "OrderStatus": "billing.models.OrderStatus",
        "SessionState": "billing.models.SessionState",
        "StoppedBy": "apikeys.models.StoppedBy",
        "DisputeStatus": "billing.models.DisputeStatus",
        "KeyState": "apikeys.models.KeyState",
    },
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "payflow.openapi.plain_views.add_plain_views",
        "payflow.openapi.answers.add_answers",
        "payflow.openapi.examples.add_examples",
    ],
    "SWAGGER_UI_SETTINGS": {
        "deepLinking": True,
        "displayRequestDuration": True,
        "filter": True,
        "tryItOutEnabled": True,
    },
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SERVE_AUTHENTICATION": [],
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
}

STATIC_URL = "/static/"
_own_static = SITE_DIR / "static" if SITE_DIR else None
STATICFILES_DIRS = [
    *([_own_static] if _own_static and _own_static.is_dir() else []),
    BASE_DIR / "static",
]
# Without STATIC_ROOT files are served from the apps: there is no build step. With it, from there,
# named by their content, after `manage.py collectstatic`.
STATIC_ROOT = _config.text("STATIC_ROOT") or None
WHITENOISE_USE_FINDERS = STATIC_ROOT is None
if STATIC_ROOT:
    STORAGES = {
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
        "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
    }

# --- Security ---------------------------------------------------------------------------------
# Cookies need TLS, unless FRONTEND_URL is plain http.
_plain_http = DEBUG or _config.text("FRONTEND_URL").startswith("http://")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = LANGUAGE_COOKIE_SECURE = not _plain_http
SESSION_COOKIE_HTTPONLY = True
SESSION_ENGINE = "accounts.sessions"
CSRF_FAILURE_VIEW = "payflow.http.problems.csrf_failed"
CSRF_TRUSTED_ORIGINS = [origin_of(FRONTEND_URL)]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_HSTS_SECONDS = 0 if _plain_http else 31_536_000
SECURE_REFERRER_POLICY = "same-origin"
# Only staff see messages; in a cookie they would be read with every request.
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
X_FRAME_OPTIONS = "DENY"
SILENCED_SYSTEM_CHECKS = [
    # The proxy redirects plain http (docs/operations.md). If the application did, Stripe would
    # count a redirect as a failed delivery, and a probe on loopback could not reach /healthz.
    "security.W008",
    # HSTS for subdomains and preloading are decisions of the domain's owner.
    "security.W005",
    "security.W021",
]
_stripe_pages = {"https://checkout.stripe.com", STRIPE_API_BASE} - {""}
SECURE_CSP = {
    "default-src": ["'self'"],
    "img-src": ["'self'", "data:"],
    # The Pay button is a form that redirects to Stripe's page: both origins must be allowed.
    "form-action": ["'self'", *sorted(_stripe_pages)],
    "frame-ancestors": ["'none'"],
    "base-uri": ["'none'"],
    "object-src": ["'none'"],
}

# --- Logs -------------------------------------------------------------------------------------
LOG_FORMAT = _config.choice("LOG_FORMAT", "line", "json")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {
        "context": {"()": "payflow.logs.context.ContextFilter"},
        "redaction": {"()": "payflow.logs.redaction.RedactionFilter"},
    },
    "formatters": {
        "line": {"format": "%(asctime)s %(levelname)s %(name)s [%(context)s] %(message)s"},
        "json": {"()": "payflow.logs.json_lines.JsonFormatter"},
    },
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": LOG_FORMAT,
            "filters": ["context", "redaction"],
        }
    },
    "root": {"handlers": ["console"], "level": _config.log_level("LOG_LEVEL")},
    "loggers": {
        # Django's handlers do not redact: its records go to the root handler.
        **{name: {"handlers": [], "propagate": True} for name in ("django", "django.server")},
        # Only failed sign-ins are logged.
        "axes": {"level": "WARNING"},
        # It logs every request; failures are logged where they are caught.
        "stripe": {"level": "WARNING"},
    },
}
# The bearer token that Prometheus sends; without one /metrics is a 404.
METRICS_TOKEN = _config.text("METRICS_TOKEN")
SENTRY_DSN = _config.url("SENTRY_DSN")
if SENTRY_DSN:
    # Imported only here: it takes a tenth of a second.
    from payflow.logs import sentry

    sentry.start(SENTRY_DSN)
DEFAULT_EXCEPTION_REPORTER_FILTER = "payflow.logs.redaction.RedactingReporterFilter"
DEFAULT_EXCEPTION_REPORTER = "payflow.logs.redaction.RedactingExceptionReporter"
