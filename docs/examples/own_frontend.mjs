// A frontend of your own: Checkout returns to it, and it shows the key.
//
// The server has FRONTEND_URL=https://app.example.com and CORS_ALLOWED_ORIGINS=https://app.example.com.
// `token` is a JSON Web Token for the signed-in user, from POST /api/auth/token or minted by your own
// backend with JWT_SECRET (`sub`: the user's id, `exp`). Keep it in memory, and never put a key into a URL.

export class Refused extends Error {
  constructor(problem) {
    super(problem.detail);
    this.code = problem.code; // docs/errors.md lists the codes
  }
}

async function call(api, token, method, path, { body, key } = {}) {
  const headers = { Authorization: `Bearer ${token}`, "Payflow-Version": "2026-11-26" };
  if (body) headers["Content-Type"] = "application/json";
  if (key) headers["Idempotency-Key"] = key;
  const response = await fetch(api + path, { method, headers, body: body && JSON.stringify(body) });
  const answer = await response.json();
  if (!response.ok) throw new Refused(answer);
  return answer;
}

/** The Pay button: returns the address of Stripe's page to go to. */
export async function startPayment(api, token, conversationId) {
  const body = { conversationId };
  const key = crypto.randomUUID();
  return (await call(api, token, "POST", "/api/payments/link", { body, key })).url;
}

/** On /payments/success: waits for the payment of a conversation; returns the order. */
export async function paidOrder(api, token, conversationId, { tries = 120, pause = 500 } = {}) {
  for (let left = tries; left > 0; left -= 1) {
    const path = `/api/orders?conversationId=${conversationId}&status=completed`;
    const { orders } = await call(api, token, "GET", path);
    if (orders.length > 0) return orders[0];
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
  throw new Error("the payment is not confirmed yet: look again later");
}

/** Behind a button "Show my key": the key is shown once, so show it until it is copied. */
export async function revealKey(api, token, order, repeatKey = crypto.randomUUID()) {
  const path = `/api/api-keys/${order.apiKeyId}/reveal`;
  // A repeat with the same `repeatKey` within a minute gets the same answer: keep it for a retry.
  return (await call(api, token, "POST", path, { key: repeatKey })).key;
}
