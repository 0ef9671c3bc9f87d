// A shop that uses stripe-node: buys, refunds, disputes, and checks what it gets back.
//
//   node shop.mjs FOLDER BASE_URL       (FOLDER holds node_modules with stripe)
//
// Prints one line for each check that fails, then "N of M checks". Exits with 1 if one failed.
import http from 'node:http';
import { createRequire } from 'node:module';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const [folder, base] = process.argv.slice(2);
const imported = createRequire(path.join(path.resolve(folder), 'package.json'))('stripe');
const Stripe = imported.default ?? imported;
const { hostname, port } = new URL(base);
const stripe = new Stripe('sk_test_shop', {
  host: hostname, port, protocol: 'http', telemetry: false, maxNetworkRetries: 0,
});

let passed = 0;
const failed = [];

function check(name, holds, got) {
  if (holds) passed += 1;
  else failed.push(`${name}: ${JSON.stringify(got)}`);
}

const equal = (name, got, wanted) => check(name, JSON.stringify(got) === JSON.stringify(wanted), got);
const matches = (name, got, pattern) => check(name, pattern.test(String(got)), got);

async function refused(name, request, expected) {
  try {
    const answer = await request();
    check(name, false, answer.id ?? answer);
  } catch (error) {
    const { type, code, param, message, statusCode } = error;
    const got = { type, code, param, message, statusCode };
    check(name, Object.entries(expected).every(([field, wanted]) => (
      wanted instanceof RegExp ? wanted.test(got[field] ?? '') : got[field] === wanted)), got);
  }
}

async function eventually(find) {
  for (let tries = 0; tries < 600; tries += 1) {
    const found = await find();
    if (found) return found;
    await sleep(50);
  }
  return undefined;
}

const RETURN_URL = 'http://127.0.0.1:9/back';
const payer = {
  email: 'jenny@example.com', billingName: 'Jenny Rosen', cardExpiry: '12/34', cardCvc: '123',
};

async function submit(url, form) {
  const body = new URLSearchParams(form);
  return fetch(url.split('#')[0], { method: 'POST', body, redirect: 'manual' });
}

const pay = (session, number, more = {}) => submit(session.url, {
  paymentMethod: 'card', cardNumber: number, ...payer, ...more,
});

const product = await stripe.products.create({ name: 'Book', metadata: { isbn: '1' } });
const price = await stripe.prices.create({ product: product.id, currency: 'usd', unit_amount: 1500 });

const createSession = (more = {}) => stripe.checkout.sessions.create({
  mode: 'payment',
  line_items: [{ price: price.id, quantity: 2 }],
  success_url: 'http://127.0.0.1:9/ok?session={CHECKOUT_SESSION_ID}',
  metadata: { order: '1' },
  payment_intent_data: { metadata: { order: '1' } },
  ...more,
});

async function catalogue() {
  equal('a product has its metadata', product.metadata, { isbn: '1' });
  equal('a product has tax details', product.tax_details, null);
  equal('a price is one-time', price.type, 'one_time');
  const listed = await stripe.prices.list({ product: product.id });
  equal('prices are listed by product', listed.data.map((each) => each.id), [price.id]);
  const found = await stripe.products.search({ query: "name:'Book' AND metadata['isbn']:'1'" });
  equal('products are searched', [found.object, found.data[0]?.id], ['search_result', product.id]);
  const renamed = await stripe.products.update(product.id, { name: 'Novel' });
  equal('a product is renamed', renamed.name, 'Novel');
  const coupon = await stripe.coupons.create({ percent_off: 25, duration: 'once' });
  const named = await stripe.coupons.update(coupon.id, { name: 'Quarter' });
  equal('a coupon is renamed', named.name, 'Quarter');
  equal('a coupon is deleted', (await stripe.coupons.del(coupon.id)).deleted, true);
  const customer = await stripe.customers.create({ email: 'a@example.com', name: 'A' });
  const all = await stripe.customers.list({ email: 'a@example.com' });
  equal('customers are listed by email', all.data.length, 1);
  await stripe.customers.del(customer.id);
  equal('a deleted customer says so', (await stripe.customers.retrieve(customer.id)).deleted, true);
}

async function checkout() {
  const session = await createSession();
  matches('a session has its id', session.id, /^cs_test_/);
  matches('its URL ends in a fragment', session.url, /#.+$/);
  equal('it has no payment intent yet', session.payment_intent, null);
  equal('it has no discounts', session.discounts, []);
  equal('its state', [session.status, session.payment_status], ['open', 'unpaid']);
  equal('its amount', [session.amount_total, session.currency], [3000, 'usd']);
  equal('its 3D Secure option', session.payment_method_options.card,
    { request_three_d_secure: 'automatic' });
  equal('it creates a customer if required', session.customer_creation, 'if_required');
  const declined = await pay(session, '4000000000000002');
  equal('a declined card shows the page again', declined.status, 402);
  const open = await stripe.checkout.sessions.retrieve(session.id);
  equal('a decline leaves it open', open.status, 'open');
  const response = await pay(session, '4242424242424242');
  equal('a payment redirects', response.status, 303);
  equal('to the success URL', response.headers.get('location'),
    `http://127.0.0.1:9/ok?session=${session.id}`);
  const paid = await stripe.checkout.sessions.retrieve(session.id, {
    expand: ['payment_intent.latest_charge', 'line_items'],
  });
  equal('it is complete and paid', [paid.status, paid.payment_status], ['complete', 'paid']);
  equal('its email', paid.customer_details.email, 'jenny@example.com');
  equal('its country', paid.customer_details.address.country, 'US');
  equal('its line item', [paid.line_items.data[0].quantity, paid.line_items.data[0].amount_total],
    [2, 3000]);
  equal('the payment carries the metadata', paid.payment_intent.metadata, { order: '1' });
  equal('so does the charge', paid.payment_intent.latest_charge.metadata, { order: '1' });
  const sessions = await stripe.checkout.sessions.list({ payment_intent: paid.payment_intent.id });
  equal('it is found by its payment', sessions.data.map((each) => each.id), [session.id]);
  const charge = await eventually(async () => {
    const each = await stripe.charges.retrieve(paid.payment_intent.latest_charge.id);
    return each.balance_transaction && each;
  });
  const booked = await stripe.balanceTransactions.retrieve(charge.balance_transaction);
  equal('the balance has the amount less the fee', booked.net, booked.amount - booked.fee);
  return charge;
}

async function checkoutDetails() {
  const half = await stripe.coupons.create({ percent_off: 50, duration: 'once' });
  const discounted = await createSession({
    discounts: [{ coupon: half.id }],
    expand: ['line_items.data.discounts', 'total_details.breakdown'],
  });
  equal('a coupon halves the total', discounted.amount_total, 1500);
  equal('the session names the coupon', discounted.discounts,
    [{ coupon: half.id, promotion_code: null }]);
  equal('the line item shows the discount', discounted.line_items.data[0].amount_discount, 1500);
  equal('the breakdown shows it', discounted.total_details.breakdown.discounts[0].amount, 1500);
  const code = await stripe.promotionCodes.create({ promotion: { type: 'coupon', coupon: half.id } });
  const coded = await createSession({ discounts: [{ promotion_code: code.id }] });
  equal('a promotion code does the same', coded.amount_total, 1500);
  const always = await createSession({ customer_creation: 'always' });
  await pay(always, '4242424242424242');
  const paid = await stripe.checkout.sessions.retrieve(always.id, { expand: ['customer'] });
  equal('Checkout creates a customer', paid.customer.email, 'jenny@example.com');
  const known = await createSession({ customer: paid.customer.id });
  equal('a known customer is not created', known.customer_creation, null);
  equal('the email of a known customer is shown', known.customer_details.email, 'jenny@example.com');
  const address = await createSession({ billing_address_collection: 'required' });
  await pay(address, '4242424242424242', {
    billingAddressLine1: '1 Street', billingLocality: 'Wien', billingCountry: 'AT',
    billingPostalCode: '1010',
  });
  const collected = await stripe.checkout.sessions.retrieve(address.id);
  equal('an address is collected', collected.customer_details.address?.city, 'Wien');
  const expired = await stripe.checkout.sessions.expire((await createSession()).id);
  equal('a session expires', [expired.status, expired.url], ['expired', null]);
  const secure = await createSession();
  await pay(secure, '4000002500003155');
  await submit(`${base}/c/pay/${secure.id}/authenticate`, { result: 'complete' });
  const authenticated = await stripe.checkout.sessions.retrieve(secure.id, {
    expand: ['payment_intent.latest_charge'],
  });
  equal('3D Secure is passed',
    authenticated.payment_intent.latest_charge?.payment_method_details.card.three_d_secure.result,
    'authenticated');
  const debit = await createSession();
  await submit(debit.url, { paymentMethod: 'debit', accountNumber: '000123456789', ...payer });
  // The event keeps the session as it was then, however late it is read.
  const completed = await stripe.events.list({ type: 'checkout.session.completed', limit: 100 });
  const pending = completed.data.find((event) => event.data.object.id === debit.id)?.data.object;
  equal('a bank debit is unpaid at first', [pending?.status, pending?.payment_status],
    ['complete', 'unpaid']);
  const settled = await eventually(async () => {
    const each = await stripe.checkout.sessions.retrieve(debit.id);
    return each.payment_status === 'paid' && each;
  });
  equal('and paid later', settled?.payment_status, 'paid');
}

async function intents() {
  const made = await stripe.paymentIntents.create({ amount: 2000, currency: 'usd' });
  equal('an intent takes the methods of the Dashboard', made.automatic_payment_methods,
    { allow_redirects: 'always', enabled: true });
  equal('its amount can change',
    (await stripe.paymentIntents.update(made.id, { amount: 2500 })).amount, 2500);
  await refused('a confirmation needs a return URL',
    () => stripe.paymentIntents.confirm(made.id, { payment_method: 'pm_card_visa' }),
    { type: 'StripeInvalidRequestError', message: /return_url/ });
  const done = await stripe.paymentIntents.confirm(made.id, {
    payment_method: 'pm_card_visa', return_url: RETURN_URL,
  });
  equal('with one it succeeds', [done.status, done.amount_received], ['succeeded', 2500]);
  await refused('a declined card is a card error', () => stripe.paymentIntents.create({
    amount: 2000, currency: 'usd', confirm: true, return_url: RETURN_URL,
    payment_method: 'pm_card_chargeDeclinedInsufficientFunds',
  }), { type: 'StripeCardError', code: 'card_declined', statusCode: 402, message: /insufficient/ });
  const secure = await stripe.paymentIntents.create({
    amount: 2000, currency: 'usd', confirm: true, return_url: RETURN_URL,
    payment_method: 'pm_card_threeDSecure2Required',
  });
  equal('3D Secure asks for a redirect', [secure.status, secure.next_action.type],
    ['requires_action', 'redirect_to_url']);
  const held = await stripe.paymentIntents.create({
    amount: 2000, currency: 'usd', confirm: true, return_url: RETURN_URL,
    payment_method: 'pm_card_visa', capture_method: 'manual',
  });
  equal('a hold is captured',
    (await stripe.paymentIntents.capture(held.id, { amount_to_capture: 1500 })).amount_received, 1500);
  const canceled = await stripe.paymentIntents.cancel(
    (await stripe.paymentIntents.create({ amount: 2000, currency: 'usd' })).id);
  equal('an intent is canceled', canceled.status, 'canceled');
  const found = await stripe.paymentIntents.search({ query: "status:'canceled'" });
  equal('intents are searched', found.data.map((each) => each.id), [canceled.id]);
}

async function reversals(charge) {
  const refund = await stripe.refunds.create({ charge: charge.id, amount: 500 });
  equal('a refund succeeds', [refund.status, refund.amount], ['succeeded', 500]);
  await refused('a refund cannot exceed the rest',
    () => stripe.refunds.create({ charge: charge.id, amount: 2501 }),
    { type: 'StripeInvalidRequestError', param: 'amount', message: /greater than/ });
  await stripe.refunds.create({ charge: charge.id });
  const whole = await stripe.charges.retrieve(charge.id, { expand: ['refunds'] });
  equal('the charge is refunded', [whole.refunded, whole.amount_refunded], [true, 3000]);
  equal('its refunds are listed', whole.refunds.data.length, 2);
  await refused('it cannot be refunded again', () => stripe.refunds.create({ charge: charge.id }),
    { code: 'charge_already_refunded' });
  const session = await createSession();
  await pay(session, '4000000000000259');
  const { payment_intent: intent } = await stripe.checkout.sessions.retrieve(session.id);
  const [dispute] = (await stripe.disputes.list({ payment_intent: intent })).data;
  equal('a dispute is opened', [dispute.status, dispute.evidence_details.submission_method],
    ['needs_response', 'not_submitted']);
  await stripe.disputes.update(dispute.id, { evidence: { uncategorized_text: 'winning_evidence' } });
  const won = await eventually(async () => {
    const each = await stripe.disputes.retrieve(dispute.id);
    return each.status === 'won' && each;
  });
  equal('evidence wins it', won?.evidence_details.submission_method, 'manual');
}

async function errors() {
  const expected = [
    ['an unknown session', () => stripe.checkout.sessions.retrieve('cs_test_x'),
      { code: 'resource_missing', statusCode: 404 }],
    ['an unknown intent', () => stripe.paymentIntents.retrieve('pi_x'),
      { message: /^No such payment_intent: 'pi_x'/ }],
    ['an unknown method', () => stripe.paymentMethods.retrieve('pm_x'),
      { message: /^No such PaymentMethod: 'pm_x'/ }],
    ['an unknown parameter', () => createSession({ nothing: '1' }),
      { code: 'parameter_unknown', param: 'nothing' }],
    ['an unknown parameter inside', () => createSession({ payment_intent_data: { nothing: '1' } }),
      { code: 'parameter_unknown', param: 'payment_intent_data[nothing]' }],
    ['an unknown locale', () => createSession({ locale: 'no' }), { message: /^Invalid locale/ }],
    ['a customer and its creation',
      async () => createSession({
        customer: (await stripe.customers.create()).id, customer_creation: 'always',
      }), { message: /only specify one of these parameters/ }],
    ['a recurring price', () => createSession({
      line_items: [{
        quantity: 1,
        price_data: {
          currency: 'usd', unit_amount: 500, recurring: { interval: 'month' },
          product_data: { name: 'Plan' },
        },
      }],
    }), { message: /^You specified `payment` mode but passed a recurring price/ }],
    ['an invalid email', () => createSession({ customer_email: 'test@test' }),
      { message: /^Invalid email address/ }],
    ['an unknown currency', () => stripe.paymentIntents.create({ amount: 2000, currency: 'zzz' }),
      { message: /^Invalid currency/ }],
    ['too small an amount', () => stripe.paymentIntents.create({ amount: 29, currency: 'gbp' }),
      { code: 'amount_too_small' }],
    ['a missing name', () => stripe.products.create({}), { code: 'parameter_missing', param: 'name' }],
    ['an empty name', () => stripe.products.create({ name: '' }), { code: 'parameter_invalid_empty' }],
    ['subscriptions', () => createSession({ mode: 'subscription' }), { message: /does not cover/ }],
  ];
  for (const [name, request, wanted] of expected) await refused(`${name} is refused`, request, wanted);
  const anonymous = await fetch(`${base}/v1/events`);
  equal('a request without a key is refused', anonymous.status, 401);
  const key = { idempotencyKey: 'one' };
  const first = await stripe.products.create({ name: 'Once' }, key);
  const again = await stripe.products.create({ name: 'Once' }, key);
  equal('an idempotent request is done once', again.id, first.id);
  await refused('its key cannot be used for another request',
    () => stripe.products.create({ name: 'Twice' }, key), { type: 'StripeIdempotencyError' });
}

async function webhooks() {
  const received = [];
  let secret;
  const server = http.createServer((request, response) => {
    const chunks = [];
    request.on('data', (chunk) => chunks.push(chunk)).on('end', () => {
      const signature = request.headers['stripe-signature'];
      received.push(stripe.webhooks.constructEvent(Buffer.concat(chunks), signature, secret));
      response.end();
    });
  });
  await new Promise((ready) => { server.listen(0, '127.0.0.1', ready); });
  const url = `http://127.0.0.1:${server.address().port}/hook`;
  const endpoint = await stripe.webhookEndpoints.create({
    url, enabled_events: ['checkout.session.completed', 'charge.refunded'],
  });
  secret = endpoint.secret;
  matches('an endpoint has a secret', secret, /^whsec_/);
  const session = await createSession();
  await pay(session, '4242424242424242');
  const event = await eventually(() => received[0]);
  equal('a signed event arrives', [event?.type, event?.data.object.id],
    ['checkout.session.completed', session.id]);
  equal('it is of the pinned version', event?.api_version, '2026-10-28.endive');
  equal('events that were not asked for do not', received.length, 1);
  const { data } = await stripe.events.list({ type: 'checkout.session.completed', limit: 1 });
  equal('the event is listed', data[0].id, event?.id);
  let pages = 0;
  for await (const each of stripe.events.list({ limit: 10 })) pages += each.object === 'event';
  check('events are paged', pages > 50, pages);
  equal('the endpoint is deleted', (await stripe.webhookEndpoints.del(endpoint.id)).deleted, true);
  server.close();
}

async function step(name, run) {
  try {
    return await run();
  } catch (error) {
    check(`${name} runs to its end`, false, error.message);
    return undefined;
  }
}

await step('the catalogue', catalogue);
const charge = await step('Checkout', checkout);
await step('Checkout in detail', checkoutDetails);
await step('payment intents', intents);
await step('refunds and disputes', () => reversals(charge));
await step('errors', errors);
await step('webhooks', webhooks);

for (const line of failed) process.stdout.write(`FAILED ${line}\n`);
process.stdout.write(`${passed} of ${passed + failed.length} checks\n`);
process.exit(failed.length ? 1 : 0);
