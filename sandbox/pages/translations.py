"""Texts of the payment page in the languages that it speaks beside English.

Stripe's page speaks some forty languages; for the others, this one stays English.
"""

from __future__ import annotations

import re

_TEXTS = {
    "de": {
        "Pay": "Zahlen",
        "Book": "Buchen",
        "Donate": "Spenden",
        "Subscribe": "Abonnieren",
        "Complete order": "Bestellung abschließen",
        "Email": "E-Mail",
        "Name": "Name",
        "Full name": "Vollständiger Name",
        "Business name": "Name des Unternehmens",
        "Phone number": "Telefonnummer",
        "Card number": "Kartennummer",
        "Expiration (MM/YY)": "Gültig bis (MM/JJ)",
        "Security code (CVC)": "Prüfziffer (CVC)",
        "Country": "Land",
        "Country (two letters)": "Land (zwei Buchstaben)",
        "Address": "Adresse",
        "Address, second line": "Adresszusatz",
        "City": "Ort",
        "State": "Bundesland",
        "Postal code": "Postleitzahl",
        "Shipping address": "Lieferadresse",
        "Shipping method": "Versandart",
        "Shipping": "Versand",
        "Discount": "Rabatt",
        "Tax": "Steuer",
        "Tax ID": "Steuernummer",
        "Promotion code": "Gutscheincode",
        "Apply the code": "Code einlösen",
        "Update the order": "Bestellung aktualisieren",
        "Payment method": "Zahlungsmethode",
        "Card": "Karte",
        "Your email is required.": "Die E-Mail-Adresse fehlt.",
        "Your card was declined.": "Ihre Karte wurde abgelehnt.",
        "Your card number is incomplete.": "Die Kartennummer ist unvollständig.",
    },
    "es": {
        "Pay": "Pagar",
        "Book": "Reservar",
        "Donate": "Donar",
        "Subscribe": "Suscribirse",
        "Complete order": "Completar el pedido",
        "Email": "Correo electrónico",
        "Name": "Nombre",
        "Full name": "Nombre completo",
        "Business name": "Nombre de la empresa",
        "Phone number": "Número de teléfono",
        "Card number": "Número de tarjeta",
        "Expiration (MM/YY)": "Caducidad (MM/AA)",
        "Security code (CVC)": "Código de seguridad (CVC)",
        "Country": "País",
        "Country (two letters)": "País (dos letras)",
        "Address": "Dirección",
        "Address, second line": "Dirección, segunda línea",
        "City": "Ciudad",
        "State": "Provincia",
        "Postal code": "Código postal",
        "Shipping address": "Dirección de envío",
        "Shipping method": "Método de envío",
        "Shipping": "Envío",
        "Discount": "Descuento",
        "Tax": "Impuestos",
        "Tax ID": "Identificación fiscal",
        "Promotion code": "Código promocional",
        "Apply the code": "Aplicar el código",
        "Update the order": "Actualizar el pedido",
        "Payment method": "Método de pago",
        "Card": "Tarjeta",
        "Your email is required.": "El correo electrónico es obligatorio.",
        "Your card was declined.": "Tu tarjeta ha sido rechazada.",
        "Your card number is incomplete.": "El número de tarjeta está incompleto.",
    },
    "fr": {
        "Pay": "Payer",
        "Book": "Réserver",
        "Donate": "Faire un don",
        "Subscribe": "S'abonner",
        "Complete order": "Finaliser la commande",
        "Email": "E-mail",
        "Name": "Nom",
        "Full name": "Nom complet",
        "Business name": "Nom de l'entreprise",
        "Phone number": "Numéro de téléphone",
        "Card number": "Numéro de carte",
        "Expiration (MM/YY)": "Expiration (MM/AA)",
        "Security code (CVC)": "Code de sécurité (CVC)",
        "Country": "Pays",
        "Country (two letters)": "Pays (deux lettres)",
        "Address": "Adresse",
        "Address, second line": "Complément d'adresse",
        "City": "Ville",
        "State": "Région",
        "Postal code": "Code postal",
        "Shipping address": "Adresse de livraison",
        "Shipping method": "Mode de livraison",
        "Shipping": "Livraison",
        "Discount": "Remise",
        "Tax": "Taxes",
        "Tax ID": "Numéro fiscal",
        "Promotion code": "Code promo",
        "Apply the code": "Appliquer le code",
        "Update the order": "Mettre à jour la commande",
        "Payment method": "Moyen de paiement",
        "Card": "Carte",
        "Your email is required.": "L'e-mail est obligatoire.",
        "Your card was declined.": "Votre carte a été refusée.",
        "Your card number is incomplete.": "Le numéro de carte est incomplet.",
    },
}


def language_of(locale: str | None, accept_language: str) -> str:
    """The page's language: the session's, else the browser's, else English."""
    if locale not in (None, "auto"):
        wanted = [str(locale)]
    else:
        wanted = re.split(r"\s*(?:;[^,]*)?(?:,\s*|$)", accept_language)
    for name in wanted:
        language = name.partition("-")[0].lower()
        if language == "en" or language in _TEXTS:
            return language
    return "en"


def translate(text: str, language: str) -> str:
    """A text of the page in a language; the text itself if it has no translation."""
    return _TEXTS.get(language, {}).get(text, text)
