"""From a payment link to a key, rotated and deleted, with a client generated from openapi.json.

    pip install openapi-python-client
    openapi-python-client generate --path docs/openapi.json --meta none --output-path payflow_client
    export PAYFLOW_URL=http://localhost:3000 PAYFLOW_EMAIL=… PAYFLOW_PASSWORD=…
    PYTHONPATH=. python docs/examples/python_client.py

Open the address that it prints and pay; on a test server with the card 4242 4242 4242 4242.
"""

import os
import time
import uuid

from payflow_client import AuthenticatedClient, Client
from payflow_client.api.api_keys import (
    api_keys_delete,
    api_keys_reveal,
    api_keys_rotate,
    api_keys_verify,
)
from payflow_client.api.auth import token_create
from payflow_client.api.conversations import conversations_create, conversations_retrieve
from payflow_client.api.orders import orders_list
from payflow_client.api.payments import payment_link_create
from payflow_client.models import (
    Credentials,
    LinkRequest,
    NewConversation,
    PaymentStatus,
    Problem,
    Rotation,
)

URL = os.environ["PAYFLOW_URL"]


def answer(found):
    """The parsed answer. Problems have a `code` to switch on."""
    if found is None or isinstance(found, Problem):
        raise SystemExit(f"refused: {found.code.value if found else 'no answer'}")
    return found


def works(key):
    """Whether a key is accepted, as a gateway asks."""
    checked = api_keys_verify.sync_detailed(client=AuthenticatedClient(URL, token=key))
    return checked.status_code == 204


credentials = Credentials(os.environ["PAYFLOW_EMAIL"], os.environ["PAYFLOW_PASSWORD"])
token = answer(token_create.sync(client=Client(URL), body=credentials)).access
client = AuthenticatedClient(URL, token=token)

# An Idempotency-Key for each thing to make: a repeat after a lost answer makes nothing more.
conversation = answer(
    conversations_create.sync(
        client=client, body=NewConversation("Support plan"), idempotency_key=str(uuid.uuid4())
    )
)
link = answer(
    payment_link_create.sync(
        client=client, body=LinkRequest(conversation.id), idempotency_key=str(uuid.uuid4())
    )
)
print("pay:", link.url, flush=True)

while conversation.payment_status is not PaymentStatus.PAID:
    time.sleep(0.5)
    conversation = answer(conversations_retrieve.sync(conversation.id, client=client))

(order,) = answer(orders_list.sync(client=client, conversation_id=conversation.id)).orders
revealed = answer(
    api_keys_reveal.sync(order.api_key_id, client=client, idempotency_key=str(uuid.uuid4()))
)
print("the key works:", works(revealed.key))

successor = answer(
    api_keys_rotate.sync(
        revealed.id,
        client=client,
        body=Rotation(grace_seconds=0),
        idempotency_key=str(uuid.uuid4()),
    )
)
print("the old key works:", works(revealed.key))
print("its successor works:", works(successor.key))

answer(api_keys_delete.sync(successor.id, client=client))
print("the deleted key works:", works(successor.key))
