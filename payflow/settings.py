"""Every setting, read from the environment; `.env.example` lists the variables."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import django_stubs_ext

from payflow.dev_secrets import secrets_for
from payflow.env import (
    Configuration,
    debug_is_on,
    env_file,
    origin_of,
    read_environment,
    refuse,
)

# Makes Django's generic classes subscriptable at run time: `ModelAdmin[Order]`.
django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parent.parent

_env = read_environment(env_file(BASE_DIR))
DEBUG = debug_is_on(_env)
_config = Configuration(_env, secrets_for(BASE_DIR / ".run") if DEBUG else {})

# --- Who may reach us -------------------------------------------------------------------------
PORT = _config.integer("PORT", 3000)
SECRET_KEY = _config.required("SECRET_KEY")
JWT_SECRET = _config.jwt_secret("JWT_SECRET")
ALLOWED_HOSTS = _config.items("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
CORS_ALLOWED_ORIGINS = _config.origins("CORS_ALLOWED_ORIGINS")
CORS_URLS_REGEX = r"^/api/"
CORS_ALLOW_HEADERS = ("accept", "authorization", "content-type", "idempotency-key")
CORS_EXPOSE_HEADERS = ("x-request-id",)
FRONTEND_URL = _config.url("FRONTEND_URL", f"http://localhost:{PORT}")

# --- Stripe -----------------------------------------------------------------------------------
STRIPE_SECRET_KEY = _config.stripe_key("STRIPE_SECRET_KEY")
STRIPE_LIVEMODE = STRIPE_SECRET_KEY[3:].startswith("live_")
STRIPE_PUBLISHABLE_KEY = _config.publishable_key("STRIPE_PUBLISHABLE_KEY", live=STRIPE_LIVEMODE)
STRIPE_WEBHOOK_SECRETS = _config.webhook_secrets("STRIPE_WEBHOOK_SECRET")
STRIPE_PRICES = _config.prices("STRIPE_PRODUCT_PRICE_ID", "STRIPE_PRICES")
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
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_I18N = False
DATETIME_FORMAT = "j M Y, H:i"
USE_TZ = True

INSTALLED_APPS = [
    "support.apps.DeskConfig",  # Django's admin, with the support desk as its site
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "corsheaders",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "axes",
    "accounts",
    "conversations",
    "apikeys",
    "billing",
    "support",
    "payflow",
]

MIDDLEWARE = [
    "payflow.http.middleware.request_id",
    "payflow.http.middleware.api_problems",
    "django.middleware.security.SecurityMiddleware",
    "payflow.http.middleware.content_security_policy",
    "payflow.http.middleware.webhook_fast_path",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
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
]

# --- Guessing passwords -----------------------------------------------------------------------
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=15)
# Of one address for one account: from elsewhere nobody can lock an owner out of their own.
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
# The address that all limits count by: TRUSTED_PROXIES says how far X-Forwarded-For is believed.
AXES_CLIENT_IP_CALLABLE = "apikeys.throttling.address_of"
AXES_USERNAME_FORM_FIELD = "username"
AXES_USERNAME_CALLABLE = "payflow.lockout.username"
AXES_LOCKOUT_CALLABLE = "payflow.lockout.response"
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_DISABLE_ACCESS_LOG = True
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False

# --- Database ---------------------------------------------------------------------------------
# Threads of one server process (gunicorn.conf.py reads the same variable).
WEB_THREADS = _config.integer("WEB_THREADS", 4)
DATABASES = {"default": _config.database("DATABASE_URL", f"sqlite:///{BASE_DIR / 'db.sqlite3'}")}
_database = DATABASES["default"]
_options = _database.setdefault("OPTIONS", {})
if _database["ENGINE"] == "django.db.backends.postgresql":
    # A new connection costs twelve times the request: every thread keeps its own, and lets go of
    # one that has died (payflow.db).
    _database |= {"CONN_MAX_AGE": None, "CONN_HEALTH_CHECKS": False}
    # What `billing.prepared_sql` executes is planned once for each connection.
    _options.setdefault("prepare_threshold", 5)
    # psycopg's own patience with a server that does not answer is two minutes, the kernel's with
    # one that has vanished two hours.
    _options.setdefault("connect_timeout", 5)
    _options.setdefault("keepalives_idle", 20)
    _options.setdefault("keepalives_interval", 10)
    _options.setdefault("tcp_user_timeout", 30_000)
elif _database["ENGINE"] == "django.db.backends.sqlite3":
    # Writers queue for up to 20 s instead of failing with "database is locked".
    _options.setdefault("init_command", "PRAGMA journal_mode=WAL")
    _options.setdefault("transaction_mode", "IMMEDIATE")
    _options.setdefault("timeout", 20)
else:
    refuse("DATABASE_URL must name a PostgreSQL or an SQLite database.")

# --- Caches and limits ------------------------------------------------------------------------
REDIS_URL = _config.redis("REDIS_URL")
if REDIS_URL:
    CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": REDIS_URL,
            "KEY_PREFIX": "payflow",
            # A request waits no longer for a count than it would for itself.
            "OPTIONS": {"socket_timeout": 0.5, "socket_connect_timeout": 0.5},
        }
    }
# 0 is no limit.
API_KEY_REQUESTS_PER_MINUTE = _config.integer("API_KEY_REQUESTS_PER_MINUTE", 6000)
FAILED_AUTHENTICATIONS_PER_MINUTE = _config.integer("FAILED_AUTHENTICATIONS_PER_MINUTE", 60)

# --- HTTP -------------------------------------------------------------------------------------
# Stripe's events are far smaller; nothing else sent to us has a reason to be larger.
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "apikeys.authentication.ApiKeyAuthentication",
        "payflow.http.authentication.JWTAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_THROTTLE_CLASSES": ["apikeys.throttling.KeyThrottle"],
    # How many proxies of ours a request has passed: as many of X-Forwarded-For's last addresses
    # are believed. What is left of them anybody can write.
    "NUM_PROXIES": _config.integer("TRUSTED_PROXIES", 0),
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PARSER_CLASSES": ["payflow.http.parsers.BoundedJSONParser"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "payflow.http.negotiation.JSONOnlyNegotiation",
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "payflow.http.problems.exception_handler",
    "COERCE_DECIMAL_TO_STRING": False,
    "UPLOADED_FILES_USE_URL": False,
}

SPECTACULAR_SETTINGS = {
    "TITLE": "payflow",
    "DESCRIPTION": "From a payment to a working API key.",
    "VERSION": "1.0.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "payflow.http.schema.add_verify",
        "payflow.http.schema.add_problems",
    ],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SERVE_AUTHENTICATION": [],
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
}

STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
# Served from the apps themselves: `gunicorn payflow.wsgi` needs no build step before it.
WHITENOISE_USE_FINDERS = True

# --- Security ---------------------------------------------------------------------------------
# Cookies travel over TLS only, unless FRONTEND_URL itself says that this server is plain http.
_plain_http = DEBUG or _config.text("FRONTEND_URL").startswith("http://")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = not _plain_http
SESSION_COOKIE_HTTPONLY = True
CSRF_FAILURE_VIEW = "payflow.http.problems.csrf_failed"
CSRF_TRUSTED_ORIGINS = [origin_of(FRONTEND_URL)]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_HSTS_SECONDS = 0 if _plain_http else 31_536_000
SECURE_REFERRER_POLICY = "same-origin"
# Only staff are told anything by them; in a cookie they would be looked for with every request.
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
X_FRAME_OPTIONS = "DENY"
SILENCED_SYSTEM_CHECKS = [
    # The proxy in front answers plain http (docs/operations.md). If we redirected, Stripe would
    # take the redirect for a failed delivery, and a probe on loopback would never see /healthz.
    "security.W008",
    # Whether every subdomain is https, and whether to preload it, is the domain owner's to say.
    "security.W005",
    "security.W021",
]
_stripe_pages = {"https://checkout.stripe.com", STRIPE_API_BASE} - {""}
SECURE_CSP = {
    "default-src": ["'self'"],
    "img-src": ["'self'", "data:"],
    # Paying is a form of ours that redirects to the hosted page: both ends must be allowed.
    "form-action": ["'self'", *sorted(_stripe_pages)],
    "frame-ancestors": ["'none'"],
    "base-uri": ["'none'"],
    "object-src": ["'none'"],
}

# --- Logs -------------------------------------------------------------------------------------
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {
        "request_id": {"()": "payflow.http.request_id.RequestIdFilter"},
        "redaction": {"()": "payflow.logs.redaction.RedactionFilter"},
    },
    "formatters": {
        "line": {"format": "%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s"}
    },
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": "line",
            "filters": ["request_id", "redaction"],
        }
    },
    "root": {"handlers": ["console"], "level": _config.log_level("LOG_LEVEL")},
    "loggers": {
        # Django's own handlers know of no redaction: all that it logs goes through ours.
        **{name: {"handlers": [], "propagate": True} for name in ("django", "django.server")},
        # Of signing in only what went wrong is worth a line.
        "axes": {"level": "WARNING"},
        # It tells of every request; what failed is logged where it is caught.
        "stripe": {"level": "WARNING"},
    },
}
DEFAULT_EXCEPTION_REPORTER_FILTER = "payflow.logs.redaction.RedactingReporterFilter"
DEFAULT_EXCEPTION_REPORTER = "payflow.logs.redaction.RedactingExceptionReporter"
