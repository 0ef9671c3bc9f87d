// A frontend of your own, on your own origin. payflow has FRONTEND_URL=https://shop.example.com and
// CORS_ALLOWED_ORIGINS=https://shop.example.com; Checkout returns to /payments/success there.
//
// The token comes from your own backend and stays in memory. A key is shown once and is never part of a
// URL, stored or logged.

const element = (id) => document.getElementById(id);
const say = (text) => (element("status").textContent = text);
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

class Refused extends Error {
  constructor(problem, response) {
    super(problem.detail);
    this.code = problem.code; // docs/errors.md lists the codes
    this.retryAfter = Number(response.headers.get("Retry-After"));
  }
}

async function own(method, path, body) {
  const response = await fetch(path, { method, body: body && JSON.stringify(body) });
  return response.ok ? response.json() : null;
}

const { payflow } = await own("GET", "/config");
let token = (await own("GET", "/token"))?.token;

async function call(method, path, { body, key } = {}) {
  const headers = { Authorization: `Bearer ${token}`, "Payflow-Version": "2026-11-26" };
  if (body) headers["Content-Type"] = "application/json";
  if (key) headers["Idempotency-Key"] = key;
  const response = await fetch(payflow + path, { method, headers, body: body && JSON.stringify(body) });
  const answer = await response.json();
  if (!response.ok) throw new Refused(answer, response);
  return answer;
}

/** Start a conversation for one of our purchases, and go to Stripe's page. */
async function buy() {
  const purchase = crypto.randomUUID(); // the id of a row of ours: a repeat makes nothing twice
  const { id } = await call("POST", "/api/conversations", {
    key: purchase,
    body: { title: "A key", externalId: purchase, metadata: { shop: "example" } },
  });
  const body = { conversationId: id };
  location.assign((await call("POST", "/api/payments/link", { key: purchase, body })).url);
}

/** Wait until the payment is confirmed, also where Stripe's webhook is late: payflow asks Stripe. */
async function confirmed(sessionId) {
  for (let tries = 60; tries > 0; tries -= 1) {
    try {
      const session = await call("GET", `/api/checkout-sessions/${encodeURIComponent(sessionId)}`);
      if (session.state !== "open" && session.state !== "pending") return session;
      say(session.state === "pending" ? "Your bank is confirming the payment." : "Confirming…");
      await pause(2000);
    } catch (problem) {
      // Too many requests, or Stripe does not answer: nothing is lost, ask again later.
      if (!["throttled", "stripe_busy", "stripe_failed", "database_unavailable"].includes(problem.code)) throw problem;
      await pause((problem.retryAfter || 3) * 1000);
    }
  }
  return null;
}

async function showPayment(sessionId) {
  say("Confirming…");
  const session = await confirmed(sessionId);
  if (session === null) return say("The payment is not confirmed yet: look again later.");
  if (session.state === "expired") return say("The payment page has expired: nothing was paid.");
  if (session.state === "failed") return say("The payment failed: nothing was paid.");
  if (session.order.duplicate) return say("This was paid before: we refund this payment.");
  say("Paid. Your key is shown once: copy it.");
  element("reveal").hidden = false;
  // Kept while the page is open: a repeat within a minute gets the same answer.
  const key = crypto.randomUUID();
  submitted("reveal", async () => {
    const revealed = await call("POST", `/api/api-keys/${session.apiKeyId}/reveal`, { key });
    element("key").textContent = revealed.key;
    element("reveal").hidden = true;
  });
}

function submitted(id, act) {
  element(id).addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await act(new FormData(event.target));
    } catch (problem) {
      say(problem.message);
    }
  });
}

submitted("sign-up", async (form) => {
  await own("POST", "/sign-up", { email: form.get("email") });
  location.reload();
});
submitted("buy", buy);

const sessionId = new URLSearchParams(location.search).get("session_id");
if (!token) element("sign-up").hidden = false;
else if (location.pathname === "/payments/success" && sessionId) await showPayment(sessionId);
else element("buy").hidden = false;
