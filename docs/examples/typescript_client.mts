// From a payment link to a key, rotated and deleted, with types generated from openapi.json.
//
//   npm install openapi-fetch openapi-typescript typescript @types/node
//   npx openapi-typescript docs/openapi.json --output schema.d.ts
//   npx tsc --strict --module nodenext --target es2022 typescript_client.mts
//   PAYFLOW_URL=http://localhost:3000 PAYFLOW_EMAIL=… PAYFLOW_PASSWORD=… node typescript_client.mjs
//
// Open the address that it prints and pay; on a test server with the card 4242 4242 4242 4242.

import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

type Problem = components["schemas"]["Problem"];

function setting(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set`);
  return value;
}

/** The answer's data. Problems have a `code` to switch on. */
function answer<T>(found: { data?: T; error?: Problem }): T {
  if (found.data === undefined) throw new Error(`refused: ${found.error?.code}`);
  return found.data;
}

const url = setting("PAYFLOW_URL");

function clientOf(bearer?: string) {
  const headers = bearer ? { Authorization: `Bearer ${bearer}` } : {};
  return createClient<paths>({ baseUrl: url, headers });
}

/** A header for each thing to make: a repeat after a lost answer makes nothing more. */
function once() {
  return { header: { "Idempotency-Key": crypto.randomUUID() } };
}

/** Whether a key is accepted, as a gateway asks. */
async function works(key: string): Promise<boolean> {
  const { response } = await clientOf(key).GET("/api/api-keys/verify");
  return response.status === 204;
}

const credentials = { email: setting("PAYFLOW_EMAIL"), password: setting("PAYFLOW_PASSWORD") };
const { access } = answer(await clientOf().POST("/api/auth/token", { body: credentials }));
const client = clientOf(access);

const { id } = answer(
  await client.POST("/api/conversations", { params: once(), body: { title: "Support plan" } }),
);
const link = answer(
  await client.POST("/api/payments/link", { params: once(), body: { conversationId: id } }),
);
console.log("pay:", link.url);

let status: components["schemas"]["PaymentStatus"] = "pending";
while (status !== "paid") {
  await new Promise((resolve) => setTimeout(resolve, 500));
  const params = { path: { id } };
  status = answer(await client.GET("/api/conversations/{id}", { params })).paymentStatus;
}

const { orders } = answer(
  await client.GET("/api/orders", { params: { query: { conversationId: id } } }),
);
const keyId = orders[0]?.apiKeyId;
if (!keyId) throw new Error("the payment made no key");
const revealed = answer(
  await client.POST("/api/api-keys/{id}/reveal", { params: { path: { id: keyId }, ...once() } }),
);
console.log("the key works:", await works(revealed.key));

const successor = answer(
  await client.POST("/api/api-keys/{id}/rotate", {
    params: { path: { id: keyId }, ...once() },
    body: { graceSeconds: 0 },
  }),
);
console.log("the old key works:", await works(revealed.key));
console.log("its successor works:", await works(successor.key));

answer(
  await client.DELETE("/api/api-keys/{id}", { params: { path: { id: successor.id } } }),
);
console.log("the deleted key works:", await works(successor.key));
