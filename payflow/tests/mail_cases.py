"""What each kind of mail says, in both languages, after which cause."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from payflow.tests.mail_causes import (
    AMOUNT,
    REASON,
    Scene,
    adds_a_second_factor,
    bank_returns_a_refund,
    changes_the_address,
    changes_the_password,
    disputes,
    fails_to_pay_slowly,
    forgets_the_password,
    gets_back,
    is_declined,
    makes_a_key_of_90_days,
    pays,
    pays_in_dinar,
    pays_in_yen,
    pays_slowly,
    pays_twice,
    rotates,
    signs_in_as_staff,
    signs_up,
    signs_up_again,
    staff_do,
    worker_looks_for_keys_that_end,
)


@dataclass(frozen=True)
class Words:
    """`text` is everything between the greeting and the link, with facts of the row in braces."""

    subject: str
    text: str
    link_label: str = ""


@dataclass(frozen=True)
class Case:
    """`then` runs `after` the cause, by the clock."""

    kind: str
    cause: Callable[[Scene], None]
    en: Words
    de: Words
    path: str = ""  # of its link, as a pattern
    to: str = "ada@example.com"
    after: timedelta = timedelta(0)
    then: Callable[[], None] = lambda: None

    def words(self, language: str) -> Words:
        return self.de if language == "de" else self.en


def _of_keys(kind: str, cause: Callable[[Scene], None], en: Words, de: Words, **more: Any) -> Case:
    en, de = replace(en, link_label="Your API keys"), replace(de, link_label="Ihre API-Schlüssel")
    return Case(kind, cause, en, de, path="/keys", **more)


def _paid(cause: Callable[[Scene], None], english: str, german: str) -> Case:
    return Case(
        "order.completed",
        cause,
        Words(
            "Payment received (order {orderId}): your API key is ready",
            f"We received your payment of {english}, order {{orderId}}.\n\n"
            "Your API key is ready. Sign in and reveal it: it is shown once, and never sent by "
            "mail.",
            "Reveal your API key",
        ),
        Words(
            "Zahlung erhalten (Bestellung {orderId}): Ihr API-Schlüssel ist bereit",
            f"Wir haben Ihre Zahlung von {german} erhalten, Bestellung {{orderId}}.\n\n"
            "Ihr API-Schlüssel ist bereit. Melden Sie sich an und lassen Sie ihn anzeigen: Er wird "
            "einmal gezeigt und nie per E-Mail verschickt.",
            "API-Schlüssel anzeigen",
        ),
        path="/keys",
    )


def _refunded(
    cause: Callable[[Scene], None], english: tuple[str, str], german: tuple[str, str], *ends: str
) -> Case:
    """`ends`: what follows in both languages."""
    last_en, last_de = [f"\n\n{each}" for each in ends] or ("", "")
    return Case(
        "order.refunded",
        cause,
        Words(
            f"Refund of {english[0]} (order {{orderId}})",
            f"We paid back {english[0]} of your payment of {english[1]}, order {{orderId}}. It "
            f"takes some days until your bank shows it.{last_en}",
        ),
        Words(
            f"Erstattung von {german[0]} (Bestellung {{orderId}})",
            f"Wir haben {german[0]} Ihrer Zahlung von {german[1]}, Bestellung {{orderId}}, "
            f"erstattet. Es dauert einige Tage, bis Ihre Bank das anzeigt.{last_de}",
        ),
    )


def _ends_in(days: int, english: str, german: str) -> Case:
    ends = "{endsAt}"
    return _of_keys(
        "key.expiring",
        makes_a_key_of_90_days,
        Words(
            "Your API key ends soon",
            f"Your API key “CI” ends in {english}, at {ends}.\n\n"
            "What uses it needs another key by then.",
        ),
        Words(
            "Ihr API-Schlüssel läuft bald ab",
            f"Ihr API-Schlüssel „CI“ läuft in {german} ab: {ends}.\n\n"
            "Was ihn verwendet, braucht bis dahin einen anderen Schlüssel.",
        ),
        after=timedelta(days=90 - days, hours=1),
        then=worker_looks_for_keys_that_end,
    )


CASES: Mapping[str, Case] = {
    "paid": _paid(pays, "1,234.50 USD", "1.234,50 USD"),
    "paid in yen": _paid(pays_in_yen, "2,000 JPY", "2.000 JPY"),
    "paid in dinar": _paid(pays_in_dinar, "1,234.500 KWD", "1.234,500 KWD"),
    "on its way": Case(
        "payment.pending",
        pays_slowly,
        Words(
            "Your payment is on its way (order {orderId})",
            "You paid 1,234.50 USD, order {orderId}, by a method that takes some days. Nothing "
            "more is needed from you.\n\n"
            "We write to you when the money has arrived. Your API key is made then.",
        ),
        Words(
            "Ihre Zahlung ist unterwegs (Bestellung {orderId})",
            "Sie haben 1.234,50 USD, Bestellung {orderId}, mit einem Zahlungsmittel bezahlt, das "
            "einige Tage braucht. Sie müssen nichts weiter tun.\n\n"
            "Wir schreiben Ihnen, sobald das Geld eingegangen ist. Dann wird Ihr API-Schlüssel "
            "erstellt.",
        ),
    ),
    "failed": Case(
        "order.failed",
        fails_to_pay_slowly,
        Words(
            "Your payment failed (order {orderId})",
            "Your payment of 1,234.50 USD, order {orderId}, did not arrive: your bank or the "
            "payment method refused it. You were not charged.\n\n"
            "You can pay again, with another payment method too.",
            "Pay again",
        ),
        Words(
            "Ihre Zahlung ist fehlgeschlagen (Bestellung {orderId})",
            "Ihre Zahlung von 1.234,50 USD, Bestellung {orderId}, ist nicht eingegangen: Ihre Bank "
            "oder das Zahlungsmittel hat sie abgelehnt. Ihnen wurde nichts berechnet.\n\n"
            "Sie können erneut bezahlen, auch mit einem anderen Zahlungsmittel.",
            "Erneut bezahlen",
        ),
        path="/",
    ),
    "declined": Case(
        "payment.declined",
        is_declined,
        Words(
            "Your payment did not go through",
            "Your payment did not go through: the card or the payment method was declined. You "
            "were not charged.\n\n"
            "You can pay again, with another payment method too.",
            "Pay again",
        ),
        Words(
            "Ihre Zahlung hat nicht geklappt",
            "Ihre Zahlung hat nicht geklappt: Die Karte oder das Zahlungsmittel wurde abgelehnt. "
            "Ihnen wurde nichts berechnet.\n\n"
            "Sie können erneut bezahlen, auch mit einem anderen Zahlungsmittel.",
            "Erneut bezahlen",
        ),
        path="/",
        after=timedelta(hours=1, minutes=1),
    ),
    "paid twice": Case(
        "order.duplicate",
        pays_twice,
        Words(
            "You paid twice (order {orderId})",
            "We received a second payment of 50.00 USD for something that you had paid already. It "
            "is order {orderId}.\n\n"
            "We will pay it back. You need not do anything, and your API key is not affected.",
        ),
        Words(
            "Sie haben doppelt bezahlt (Bestellung {orderId})",
            "Wir haben eine zweite Zahlung von 50,00 USD für etwas erhalten, das Sie schon bezahlt "
            "hatten. Es ist die Bestellung {orderId}.\n\n"
            "Wir erstatten sie. Sie müssen nichts tun, und Ihr API-Schlüssel ist nicht betroffen.",
        ),
    ),
    "partly refunded": _refunded(
        gets_back(500), ("5.00 USD", "1,234.50 USD"), ("5,00 USD", "1.234,50 USD")
    ),
    "refunded": _refunded(
        gets_back(AMOUNT),
        ("1,234.50 USD", "1,234.50 USD"),
        ("1.234,50 USD", "1.234,50 USD"),
        "The payment is paid back in full, so its API keys no longer work.",
        "Die Zahlung ist vollständig erstattet, daher gelten ihre API-Schlüssel nicht mehr.",
    ),
    "refunded duplicate": _refunded(
        gets_back(5000, "pi_of_second"), ("50.00 USD", "50.00 USD"), ("50,00 USD", "50,00 USD")
    ),
    "refund returned": Case(
        "order.refund_failed",
        bank_returns_a_refund,
        Words(
            "Your refund could not be paid out (order {orderId})",
            "Your bank returned the refund of 5.00 USD for order {orderId}. We will get in touch "
            "with you about another way.",
        ),
        Words(
            "Ihre Erstattung konnte nicht ausgezahlt werden (Bestellung {orderId})",
            "Ihre Bank hat die Erstattung von 5,00 USD für die Bestellung {orderId} "
            "zurückgewiesen. Wir melden uns bei Ihnen wegen eines anderen Wegs.",
        ),
    ),
    "disputed": Case(
        "dispute.opened",
        disputes(),
        Words(
            "Your payment is disputed (order {orderId})",
            "Your bank disputes the payment of order {orderId}. While this is open, the API keys "
            "of this payment do not work.\n\n"
            "If you did not mean to dispute it, tell your bank. The keys work again when the "
            "dispute is withdrawn.",
        ),
        Words(
            "Ihre Zahlung wird zurückgebucht (Bestellung {orderId})",
            "Ihre Bank bucht die Zahlung der Bestellung {orderId} zurück. Solange darüber nicht "
            "entschieden ist, gelten die API-Schlüssel dieser Zahlung nicht.\n\n"
            "Falls das ein Versehen ist, sagen Sie es Ihrer Bank. Die Schlüssel gelten wieder, "
            "sobald die Rückbuchung zurückgezogen ist.",
        ),
    ),
    "dispute lost": Case(
        "dispute.closed",
        disputes("lost"),
        Words(
            "The dispute is decided (order {orderId})",
            "The dispute about order {orderId} was decided in your favour: the money goes back to "
            "you. The API keys of this payment no longer work.",
        ),
        Words(
            "Über die Rückbuchung ist entschieden (Bestellung {orderId})",
            "Über die Rückbuchung der Bestellung {orderId} wurde zu Ihren Gunsten entschieden: Sie "
            "erhalten das Geld zurück. Die API-Schlüssel dieser Zahlung gelten nicht mehr.",
        ),
    ),
    "dispute won": Case(
        "dispute.closed",
        disputes("won"),
        Words(
            "The dispute is decided (order {orderId})",
            "The dispute about order {orderId} is over, and the payment stands. Its API keys work "
            "again, unless they were stopped for another reason.",
        ),
        Words(
            "Über die Rückbuchung ist entschieden (Bestellung {orderId})",
            "Die Rückbuchung der Bestellung {orderId} ist abgeschlossen, und die Zahlung gilt. "
            "Ihre API-Schlüssel gelten wieder, sofern sie nicht aus einem anderen Grund gesperrt "
            "sind.",
        ),
    ),
    "key revoked": _of_keys(
        "key.revoked",
        staff_do("revoke_key"),
        Words(
            "Your API key was revoked",
            "Our support revoked your API key “Weather bot”. It does not work any more.\n\n"
            f"The reason: {REASON}\n\n"
            "You can create another key on your page of API keys.",
        ),
        Words(
            "Ihr API-Schlüssel wurde widerrufen",
            "Unser Support hat Ihren API-Schlüssel „Weather bot“ widerrufen. Er gilt nicht mehr."
            f"\n\nDer Grund: {REASON}\n\n"
            "Auf Ihrer Seite der API-Schlüssel können Sie einen anderen erstellen.",
        ),
    ),
    "key suspended": _of_keys(
        "key.suspended",
        staff_do("suspend_key"),
        Words(
            "Your API key is suspended",
            "Our support suspended your API key “Weather bot”. It does not work until we restore "
            f"it.\n\nThe reason: {REASON}",
        ),
        Words(
            "Ihr API-Schlüssel ist gesperrt",
            "Unser Support hat Ihren API-Schlüssel „Weather bot“ gesperrt. Er gilt erst wieder, "
            f"wenn wir ihn freigeben.\n\nDer Grund: {REASON}",
        ),
    ),
    "keys suspended": _of_keys(
        "key.suspended",
        staff_do("stop_grant"),
        Words(
            "Your API key is suspended",
            "Our support suspended your API keys “Weather bot”, “CI & more”. They do not work "
            f"until we restore them.\n\nThe reason: {REASON}",
        ),
        Words(
            "Ihr API-Schlüssel ist gesperrt",
            "Unser Support hat Ihre API-Schlüssel „Weather bot“, „CI & more“ gesperrt. Sie gelten "
            f"erst wieder, wenn wir sie freigeben.\n\nDer Grund: {REASON}",
        ),
    ),
    "key restored": _of_keys(
        "key.restored",
        staff_do("suspend_key", "restore_key"),
        Words(
            "Your API key works again",
            "Our support lifted the suspension of your API key “Weather bot”. It works again.\n\n"
            f"The reason: {REASON}",
        ),
        Words(
            "Ihr API-Schlüssel gilt wieder",
            "Unser Support hat die Sperre Ihres API-Schlüssels „Weather bot“ aufgehoben. Er gilt "
            f"wieder.\n\nDer Grund: {REASON}",
        ),
    ),
    "keys restored": _of_keys(
        "key.restored",
        staff_do("stop_grant", "resume_grant"),
        Words(
            "Your API key works again",
            "Our support lifted the suspension of your API keys “Weather bot”, “CI & more”. They "
            f"work again.\n\nThe reason: {REASON}",
        ),
        Words(
            "Ihr API-Schlüssel gilt wieder",
            "Unser Support hat die Sperre Ihrer API-Schlüssel „Weather bot“, „CI & more“ "
            f"aufgehoben. Sie gelten wieder.\n\nDer Grund: {REASON}",
        ),
    ),
    "key to be revealed": _of_keys(
        "key.waiting",
        staff_do("resend_reveal"),
        Words(
            "Your API key waits for you",
            "The API key that you paid for was not revealed yet. Sign in and reveal it: it is "
            f"shown once, and never sent by mail.\n\nOur support writes: {REASON}",
        ),
        Words(
            "Ihr API-Schlüssel wartet auf Sie",
            "Der API-Schlüssel, für den Sie bezahlt haben, wurde noch nicht angezeigt. Melden Sie "
            "sich an und lassen Sie ihn anzeigen: Er wird einmal gezeigt und nie per E-Mail "
            f"verschickt.\n\nUnser Support schreibt: {REASON}",
        ),
    ),
    "key rotated": _of_keys(
        "key.rotated",
        rotates,
        Words(
            "Your API key was rotated",
            "Your API key “Weather bot” was replaced by a new one. The old one works until "
            "{endsAt}.\n\n"
            "If that was not you, revoke the new key at once and change your password.",
        ),
        Words(
            "Ihr API-Schlüssel wurde ersetzt",
            "Ihr API-Schlüssel „Weather bot“ wurde durch einen neuen ersetzt. Der alte gilt bis "
            "{endsAt}.\n\n"
            "Falls Sie das nicht waren, widerrufen Sie den neuen Schlüssel sofort und ändern Sie "
            "Ihr Passwort.",
        ),
    ),
    "key ends in 30 days": _ends_in(30, "30 days", "30 Tagen"),
    "key ends in 7 days": _ends_in(7, "7 days", "7 Tagen"),
    "key ends in a day": _ends_in(1, "1 day", "1 Tag"),
    "staff signed in": Case(
        "staff.signed_in",
        signs_in_as_staff,
        Words(
            "New sign-in to the support desk",
            "Somebody signed in to the support desk with your account, at {signedInAt}, from "
            "127.0.0.1.\n\n"
            "If that was not you, tell an administrator at once and change your password.",
        ),
        Words(
            "Neue Anmeldung beim Support",
            "Mit Ihrem Konto hat sich jemand beim Support angemeldet: {signedInAt}, von "
            "127.0.0.1.\n\n"
            "Falls Sie das nicht waren, sagen Sie es sofort der Verwaltung und ändern Sie Ihr "
            "Passwort.",
        ),
    ),
    "address to be confirmed": Case(
        "account.confirm",
        signs_up,
        Words(
            "Confirm your email address",
            "Please confirm that this is your address. The link works for three days.\n\n"
            "If you have not asked for this, do nothing.",
            "Confirm this address",
        ),
        Words(
            "Bestätigen Sie Ihre E-Mail-Adresse",
            "Bitte bestätigen Sie, dass dies Ihre Adresse ist. Der Link gilt drei Tage.\n\n"
            "Wenn Sie nicht darum gebeten haben, tun Sie nichts.",
            "Diese Adresse bestätigen",
        ),
        path=r"/accounts/confirm/[\w:-]+/",
        to="new@example.com",
    ),
    "account exists": Case(
        "account.exists",
        signs_up_again,
        Words(
            "You have an account already",
            "Somebody, probably you, wanted to create an account with this address. It has one "
            "already: sign in, or choose a new password.",
            "Choose a new password",
        ),
        Words(
            "Sie haben schon ein Konto",
            "Jemand, wahrscheinlich Sie, wollte ein Konto mit dieser Adresse anlegen. Es gibt "
            "schon eines: Melden Sie sich an, oder wählen Sie ein neues Passwort.",
            "Neues Passwort wählen",
        ),
        path="/accounts/password_reset/",
    ),
    "password forgotten": Case(
        "account.reset",
        forgets_the_password,
        Words(
            "Choose a new password",
            "Somebody, probably you, asked for a new password for your account. The link works for "
            "two hours.\n\n"
            "If it was not you, do nothing: your password stays as it is.",
            "Choose a new password",
        ),
        Words(
            "Neues Passwort wählen",
            "Jemand, wahrscheinlich Sie, hat um ein neues Passwort für Ihr Konto gebeten. Der Link "
            "gilt zwei Stunden.\n\n"
            "Wenn Sie es nicht waren, tun Sie nichts: Ihr Passwort bleibt, wie es ist.",
            "Neues Passwort wählen",
        ),
        path=r"/accounts/password_reset/\w+-[\w-]+/",
    ),
    "password changed": Case(
        "account.password_changed",
        changes_the_password,
        Words(
            "Your password was changed",
            "The password of your account was changed.\n\n"
            "If it was not you, choose a new password at once and tell us.",
        ),
        Words(
            "Ihr Passwort wurde geändert",
            "Das Passwort Ihres Kontos wurde geändert.\n\n"
            "Wenn Sie es nicht waren, wählen Sie sofort ein neues Passwort und melden Sie sich bei "
            "uns.",
        ),
    ),
    "address changing": Case(
        "account.address_changing",
        changes_the_address,
        Words(
            "Your address is about to change",
            "Somebody, probably you, asked to use another address for your account. It counts as "
            "soon as it is confirmed.\n\n"
            "If it was not you, change your password at once.",
        ),
        Words(
            "Ihre Adresse soll geändert werden",
            "Jemand, wahrscheinlich Sie, möchte für Ihr Konto eine andere Adresse verwenden. Sie "
            "gilt, sobald sie bestätigt ist.\n\n"
            "Wenn Sie es nicht waren, ändern Sie sofort Ihr Passwort.",
        ),
    ),
    "second factor changed": Case(
        "account.factor_changed",
        adds_a_second_factor,
        Words(
            "Your second factor was changed",
            "The second factor of your account, or its recovery codes, were changed.\n\n"
            "If it was not you, change your password at once and tell us.",
        ),
        Words(
            "Ihr zweiter Faktor wurde geändert",
            "Der zweite Faktor Ihres Kontos oder seine Wiederherstellungscodes wurden geändert.\n\n"
            "Wenn Sie es nicht waren, ändern Sie sofort Ihr Passwort und melden Sie sich bei uns.",
        ),
    ),
}
