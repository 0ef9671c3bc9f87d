"""A bad environment stops the start with one line that names the variable."""

from __future__ import annotations

import ast
import os
import runpy
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from devtools.settings_for_tests import SETTINGS
from payflow.dev_secrets import secrets_for

ROOT = Path(__file__).resolve().parents[2]


def start(
    code: str = "import payflow.wsgi", /, **changes: str | None
) -> subprocess.CompletedProcess[str]:
    """Import the settings in a new process, with these changes to the tests' environment."""
    environment: dict[str, str] = {**SETTINGS, "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    environment |= {name: value for name, value in changes.items() if value is not None}
    for name in [name for name, value in changes.items() if value is None]:
        environment.pop(name, None)
    return subprocess.run(  # noqa: S603 - our own code, in our own Python
        [sys.executable, "-c", code],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def assert_refused(result: subprocess.CompletedProcess[str], *words: str) -> None:
    assert result.returncode == 3
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("payflow: ")
    for word in words:
        assert word in result.stderr


Refusal = Callable[..., str]


@pytest.fixture
def refusal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Refusal:
    """Run the settings in this process, with these changes; return the line that refuses them."""

    def refusal(**changes: str | None) -> str:
        for name, value in {**SETTINGS, **changes}.items():
            if value is None:
                monkeypatch.delenv(name, raising=False)
            else:
                monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as stopped:
            runpy.run_path(str(ROOT / "payflow/settings.py"))
        written = capsys.readouterr().err
        assert (stopped.value.code, written.count("\n")) == (3, 1)
        assert written.startswith("payflow: ")
        return written

    return refusal


def test_the_environment_of_the_tests_is_accepted() -> None:
    result = start()
    assert (result.returncode, result.stderr) == (0, "")


REQUIRED = ["SECRET_KEY", "JWT_SECRET", "STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET"]


@pytest.mark.parametrize("name", [*REQUIRED, "STRIPE_PRODUCT_PRICE_ID"])
@pytest.mark.parametrize("value", [None, "", "  "])
def test_a_missing_or_empty_secret_is_named(refusal: Refusal, name: str, value: str | None) -> None:
    assert f"{name} is missing or empty" in refusal(**{name: value})


NOT_REDIS = [
    "http://:hunter2@cache:6379",
    "localhost:6379",
    "redis:cache:6379",
    "redis://",
    "redis://:hunter2@",
    "redis://cache:port",
    "redis://[::1",
    "redis://cache?db=one",
    "redis://cache?no_such_option=1",
    "redis://cache,cache:6379",
    "unix:/run/redis.sock",
    "unix://",
]


NOT_EMAIL = [
    "mail.example.com",
    "bogus://user:hunter2@mail.example.com",
    "smtp://",
    "smtp://user:hunter2@mail.example.com:99999",
]
LONG = "a-secret-of-the-tests-which-is-long-enough"
NOT_SIGNING_SECRETS = [
    " , ,",
    "whsec_",
    "'whsec_1'",
    "whsec_1,'whsec_2'",
    "whsec_1 # of the endpoint",
    "sk_test_1",
    "we_1",
    "https://pay.example.com/api/webhooks/stripe",
]
NOT_HOSTS = [
    "https://pay.example.com",
    "pay.example.com/",
    "pay.example.com:443",
    "'pay.example.com'",
    'localhost,"pay.example.com"',
]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", "x"),
        ("SECRET_KEY", f"'{LONG}'"),
        ("JWT_SECRET", "x" * 31),
        ("JWT_SECRET_FALLBACKS", f"{'x' * 32},{'y' * 31}"),
        ("LOG_FORMAT", "xml"),
        ("STAFF_SECOND_FACTOR", "on"),
        ("SENTRY_DSN", "no-url"),
        ("JWT_SECRET", SETTINGS["SECRET_KEY"]),
        ("JWT_SECRET", f'"{LONG}"'),
        ("JWT_SECRET", f"{LONG} # rotated in May"),
        ("STRIPE_SECRET_KEY", "whatever"),
        ("STRIPE_SECRET_KEY", "pk_test_1"),
        ("STRIPE_SECRET_KEY", "sk_test_"),
        ("STRIPE_SECRET_KEY", "'sk_test_1'"),
        *[("STRIPE_WEBHOOK_SECRET", value) for value in NOT_SIGNING_SECRETS],
        ("STRIPE_PRODUCT_PRICE_ID", "prod_1"),
        ("STRIPE_PRODUCT_PRICE_ID", "20"),
        ("STRIPE_PRODUCT_PRICE_ID", "price_"),
        ("STRIPE_PRICES", "basic=prod_1"),
        ("STRIPE_PUBLISHABLE_KEY", "pk_live_1"),
        ("STRIPE_PUBLISHABLE_KEY", "sk_test_1"),
        ("STRIPE_PUBLISHABLE_KEY", "pk_test_"),
        ("STRIPE_DEPLOYMENT", "the blue one"),
        ("STRIPE_DEPLOYMENT", "x" * 65),
        *[("ALLOWED_HOSTS", value) for value in NOT_HOSTS],
        ("STRIPE_PRICES", "basic"),
        ("STRIPE_PRICES", "=price_1"),
        ("STRIPE_PRICES", "premium=price_of_somebody_else"),
        ("CORS_ALLOWED_ORIGINS", "app.example.com"),
        ("CORS_ALLOWED_ORIGINS", "https://app.example.com/path"),
        ("LOG_LEVEL", "loud"),
        ("STRIPE_API_BASE", "127.0.0.1:12111"),
        ("FRONTEND_URL", "app.example.com"),
        ("FRONTEND_URL", "javascript:alert(1)"),
        ("FRONTEND_URL", "https://[::1"),
        ("DATABASE_URL", "nonsense://somewhere"),
        ("DATABASE_URL", "mysql://somewhere/db"),
        *[("REDIS_URL", value) for value in NOT_REDIS],
        *[("EMAIL_URL", value) for value in NOT_EMAIL],
        ("DEFAULT_FROM_EMAIL", "payflow"),
        ("DEFAULT_FROM_EMAIL", "payflow@"),
        ("DEFAULT_FROM_EMAIL", "a@example.com\nBcc: b@example.com"),
        ("PORT", "http"),
        ("WEB_CONCURRENCY", "two"),
        ("PORT", "0"),
        ("PORT", "99999"),
        ("PORT", "9" * 5000),
        ("WEB_CONCURRENCY", "x"),
        ("WEB_CONCURRENCY", "0"),
        ("WEB_THREADS", "-1"),
        ("DEBUG", "perhaps"),
    ],
)
def test_a_bad_value_is_named_and_not_repeated(refusal: Refusal, name: str, value: str) -> None:
    line = refusal(**{name: value})
    assert name in line
    assert "hunter2" not in line
    if name.endswith(("KEY", "SECRET")) and len(value) > len("sk_test_"):
        assert value not in line


@pytest.mark.parametrize(
    "value",
    [
        "",
        "redis://cache",
        "redis://user:pass@cache:6379/1",
        "rediss://cache:6380?ssl_cert_reqs=none",
        "redis://[::1]:6379",
        "redis://one:6379,redis://two:6379",
        "unix:///run/redis.sock",
        "unix://user:pass@/run/redis.sock?db=2",
    ],
)
def test_a_redis_url_that_redis_py_reads_is_accepted(value: str) -> None:
    code = "from payflow import settings; print(settings.REDIS_URL)"
    result = start(code, REDIS_URL=value)
    assert (result.stdout.strip(), result.stderr) == (value, "")


@pytest.mark.parametrize(
    ("url", "values"),
    [
        ("", "console None None False"),
        ("smtp://mail", "smtp mail 25 True"),
        ("smtp+tls://u:p%40@mail", "smtp mail 587 True"),
        ("smtp+ssl://u:p@mail", "smtp mail 465 True"),
        ("smtp+tls://u:p@mail:2525", "smtp mail 2525 True"),
    ],
)
def test_a_mail_server_is_named_by_its_url(url: str, values: str) -> None:
    code = (
        "from payflow import settings as s; print(s.EMAIL_BACKEND.split('.')[-2], s.EMAIL_HOST,"
        " s.EMAIL_PORT, s.MAIL_IS_SENT)"
    )
    assert start(code, EMAIL_URL=url).stdout.strip() == values


def test_a_live_key_is_refused_with_another_api_base(refusal: Refusal) -> None:
    live = {"STRIPE_SECRET_KEY": "sk_live_1", "STRIPE_API_BASE": "http://127.0.0.1:12111"}
    assert "STRIPE_API_BASE" in refusal(**live)
    assert start(STRIPE_SECRET_KEY="sk_live_1").returncode == 0


@pytest.mark.parametrize("value", ["$price", "a#b", "quote's", '"double"'])
def test_a_secret_may_hold_any_character(value: str) -> None:
    code = "from payflow import settings; print(settings.SECRET_KEY)"
    value += LONG
    assert start(code, SECRET_KEY=value).stdout.strip() == value


@pytest.mark.parametrize("value", ["*", ".example.com", "pay.example.com,10.0.0.1", "[::1]"])
def test_hosts_as_django_has_them_are_accepted(value: str) -> None:
    code = "from payflow import settings; print(*settings.ALLOWED_HOSTS, sep=',')"
    assert start(code, ALLOWED_HOSTS=value).stdout.strip() == value


def test_the_word_false_does_not_turn_debug_on() -> None:
    code = "from payflow import settings; print(settings.DEBUG)"
    for off in ("False", "false", "off", "0", "no", ""):
        assert start(code, DEBUG=off).stdout.strip() == "False"


@pytest.mark.parametrize("name", ["JWT_SECRET", "WEB_CONCURRENCY"])
def test_manage_py_prints_one_line_too(name: str) -> None:
    code = (
        "import runpy, sys; sys.argv = ['manage.py', 'check']; "
        "runpy.run_path('manage.py', run_name='__main__')"
    )
    assert_refused(start(code, **{name: "x"}), name)


def test_an_env_file_completes_the_environment_and_never_overrides_it(tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text(f"SECRET_KEY=from-the-file-{LONG}\nPORT=4000\n")
    code = "from payflow import settings; print(settings.SECRET_KEY, settings.PORT)"
    result = start(code, ENV_FILE=str(file), SECRET_KEY=None, PORT="5000")
    assert result.stdout.strip() == f"from-the-file-{LONG} 5000"


@pytest.mark.parametrize("make", [Path.exists, Path.mkdir, os.mkfifo])
def test_an_env_file_that_is_missing_or_no_file_stops_the_start(
    tmp_path: Path, make: Callable[[Path], object]
) -> None:
    make(tmp_path / "env")
    result = start("import payflow.settings", ENV_FILE=str(tmp_path / "env"))
    assert_refused(result, "ENV_FILE")


def test_the_example_lists_every_variable_the_settings_read() -> None:
    example = (ROOT / ".env.example").read_text()
    listed = {line.split("=")[0] for line in example.splitlines() if "=" in line and line[0] != "#"}
    read = {
        argument.value
        for node in ast.walk(ast.parse((ROOT / "payflow/settings.py").read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("_config.")
        for argument in node.args[:2]
        if isinstance(argument, ast.Constant) and str(argument.value).isupper()
    } - {"INFO"}
    assert len(read) > 12
    contract = {
        "PORT", "STRIPE_SECRET_KEY", "STRIPE_PUBLISHABLE_KEY", "STRIPE_WEBHOOK_SECRET",
        "STRIPE_PRODUCT_PRICE_ID", "STRIPE_PRICES", "STRIPE_API_BASE", "DATABASE_URL",
        "FRONTEND_URL", "JWT_SECRET", "SECRET_KEY", "DEBUG", "ALLOWED_HOSTS",
        "CORS_ALLOWED_ORIGINS", "REDIS_URL",
    }  # fmt: skip
    assert read <= listed
    assert contract <= listed


def test_development_secrets_are_created_once_and_private(
    tmp_path: Path,
) -> None:
    made = secrets_for(tmp_path / "run")
    assert secrets_for(tmp_path / "run") == made
    assert len(made["JWT_SECRET"].encode()) >= 32
    (file,) = (tmp_path / "run").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert secrets_for(tmp_path / "other") != made
