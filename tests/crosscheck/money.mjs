// Payments, banks, shops and what goes with them. By provider: the library, whether it signs or accepts, and a request.

import { createHash, generateKeyPairSync, randomInt, randomUUID, sign as signWith } from "node:crypto";

import { hmacValidator as AdyenValidator } from "@adyen/api-library";
import EasyPost from "@easypost/api";
import { WebhookEventVerifier } from "@onfido/api";
import { Paddle } from "@paddle/paddle-node-sdk";
import { validateEvent as polarValidate, WebhookVerificationError } from "@polar-sh/sdk/webhooks";
import "@shopify/shopify-api/adapters/node";
import { shopifyApi } from "@shopify/shopify-api";
import braintree from "braintree";
import { basicAuthValidator } from "chargebee";
import commerce from "coinbase-commerce-node";
import ebayKeys from "event-notification-nodejs-sdk/lib/client.js";
import ebay from "event-notification-nodejs-sdk/lib/validator.js";
import * as gocardless from "gocardless-nodejs/webhooks";
import Lithic from "lithic";
import { WebhookSignatureValidator as MercadoPago } from "mercadopago";
import ModernTreasury from "modern-treasury";
import Orb from "orb-billing";
import Razorpay from "razorpay";
import { WebhooksHelper } from "square";
import { Webhook as StandardWebhook } from "standardwebhooks";
import Stripe from "stripe";

import {
  accepts, bodyHmacAccepted, hmac, json, phrase, pick, seconds, standard, standardAccepted, text, unlessThrown, value, word, written,
} from "./make.mjs";

async function shopify(prefix) {
  const [secret, other, id, body] = [`shpss_${word()}`, `shpss_${word()}`, randomUUID(), json({ id: randomInt(1e9) })];
  const signature = hmac("sha256", secret, body, "base64");
  const headers = {
    [`${prefix}Shopify-Topic`]: "orders/create",
    [`${prefix}Shopify-Shop-Domain`]: "example.myshopify.com",
    [`${prefix}Shopify-API-Version`]: "2025-10",
    [`${prefix}Shopify-Webhook-Id`]: id,
    [`${prefix}Shopify-Event-Id`]: randomUUID(),
    [`${prefix}Shopify-Hmac-Sha256`]: signature,
  };
  const quiet = { log: () => {} };
  const settings = { apiKey: "k", apiSecretKey: secret, hostName: "h.example.com", apiVersion: "2025-10", isEmbeddedApp: false };
  const { webhooks } = shopifyApi({ ...settings, logger: quiet });
  const rawRequest = { headers, method: "POST", url: "/" };
  await accepts(body, async (rawBody) => (await webhooks.validate({ rawBody, rawRequest })).valid);
  return { secret, other, id, body, headers, signature: [signature, "base64"] };
}

const adyen = new AdyenValidator();
/** Keys of Adyen's: 64 hex digits, in capitals as it writes them. */
const adyenKeys = () => [1, 2].map(() => word(32).toUpperCase());

/** One notification of Adyen's, with any text in the values that are signed, of which not all are there always. */
function adyenItem() {
  const item = {
    amount: { currency: pick(["EUR", "JPY"]), value: randomInt(1e9) },
    eventCode: pick(["AUTHORISATION", "CAPTURE", "REFUND"]),
    eventDate: new Date().toISOString(),
    merchantAccountCode: text(20),
    // Never empty: under another name an empty value would be the same as none.
    merchantReference: `R${text(30)}`,
    pspReference: word(8).toUpperCase(),
    success: pick(["true", "false"]),
  };
  return pick([item, { ...item, originalReference: word(8) }]);
}

/** XML as Braintree sends it, in base64 with or without line ends. */
function braintreePayload() {
  const subject = `<subject>\n    <check type="boolean">true</check>\n    <note>${word(randomInt(90))}ßЖ한😀</note>\n  </subject>`;
  const inside = `<timestamp type="datetime">${new Date().toISOString()}</timestamp>\n  <kind>check</kind>\n  ${subject}`;
  const xml = `<?xml version="1.0" encoding="UTF-8"?>\n<notification>\n  ${inside}\n</notification>\n`;
  const base64 = Buffer.from(xml).toString("base64");
  return pick([base64, `${base64.replace(/.{60}/g, "$&\n")}\n`, `${base64}\n`]);
}

const easypost = new EasyPost("EZTK");
const lithic = new Lithic({ apiKey: "k" });
const orb = new Orb({ apiKey: "k", logLevel: "off" });

export const money = {
  stripe: ["stripe", "signs", async () => {
    const [secret, other, id] = [`whsec_${word()}`, `whsec_${word()}`, `evt_${word()}`];
    const body = json({ id, object: "event", type: "invoice.paid" });
    const header = Stripe.webhooks.generateTestHeaderString({ payload: body, secret });
    await accepts(body, (body) => Stripe.webhooks.constructEvent(body, header, secret).id === id);
    return { secret, other, id, body, headers: { "Stripe-Signature": header }, signature: [/v1=([0-9a-f]+)/.exec(header)[1], "hex"] };
  }],
  shopify: ["@shopify/shopify-api", "accepts", () => shopify("X-")],
  "shopify-events-preview": ["@shopify/shopify-api", "accepts", () => shopify("")],
  square: ["square", "accepts", async () => {
    const [secret, other, id] = [phrase(), phrase(), randomUUID()];
    const url = `https://hooks.example.com/hooks/${word(3)}${pick(["", "?a=%20b"])}`;
    const body = json({ event_id: id, type: "payment.created" });
    const signature = hmac("sha256", secret, url + body, "base64");
    const asked = { signatureHeader: signature, signatureKey: secret, notificationUrl: url };
    await accepts(body, (requestBody) => WebhooksHelper.verifySignature({ requestBody, ...asked }));
    const headers = { "x-square-hmacsha256-signature": signature };
    return { secret, other, id, url, otherUrl: `${url}x`, body, headers, signature: [signature, "base64"] };
  }],
  paddle: ["@paddle/paddle-node-sdk", "accepts", async () => {
    const [secret, other, id, at] = [`pdl_ntfset_${word()}`, `pdl_ntfset_${word()}`, `evt_${word()}`, seconds()];
    const body = json({ event_id: id, event_type: "transaction.completed" });
    const signature = hmac("sha256", secret, `${at}:${body}`, "hex");
    const header = `ts=${at};h1=${signature}`;
    await accepts(body, (body) => new Paddle("k").webhooks.isSignatureValid(body, secret, header));
    return { secret, other, id, body, headers: { "Paddle-Signature": header }, signature: [signature, "hex"] };
  }],
  // eBay's library asks for the key, which is given here, and signs what JSON.stringify writes: its bodies are written so.
  ebay: ["event-notification-nodejs-sdk", "accepts", async () => {
    const [ours, theirs] = [1, 2].map(() => generateKeyPairSync("ec", { namedCurve: "P-256" }));
    const line = (key) => key.export({ type: "spki", format: "pem" }).replaceAll("\n", "");
    const [secret, id, kid, url] = [line(ours.publicKey), randomUUID(), randomUUID(), "https://hooks.example.com/hooks/ebay"];
    const notification = { notificationId: id, data: value(3) };
    const body = JSON.stringify({ metadata: { topic: "MARKETPLACE_ACCOUNT_DELETION" }, notification });
    const signature = signWith("sha1", Buffer.from(body), ours.privateKey).toString("base64");
    const packed = Buffer.from(JSON.stringify({ alg: "ecdsa", kid, signature, digest: "SHA1" })).toString("base64");
    ebayKeys.getPublicKey = async () => ({ key: secret });
    const says = (message) => ebay.validateSignature(message, packed, {});
    if (!(await says(JSON.parse(body)))) throw new Error("the library does not accept what was signed for it");
    if (await says({ ...JSON.parse(body), more: 1 })) throw new Error("the library accepts another body too");
    const credentials = { verification_token: word(20) };
    const more = { url, packed, credentials, signature: [signature, "base64"] };
    return { secret, other: line(theirs.publicKey), id, body, headers: { "X-EBAY-SIGNATURE": packed }, ...more };
  }],
  chargebee: ["chargebee", "accepts", async () => {
    const [user, password, id] = [`u${word(4)}`, phrase(), `ev_${word()}`];
    const credentials = Buffer.from(`${user}:${password}`).toString("base64");
    const headers = { Authorization: `Basic ${credentials}` };
    await basicAuthValidator((u, p) => u === user && p === password)(headers);
    const body = json({ id, event_type: "customer_created" });
    const more = { signature: [credentials, "base64"], bodyCounts: false };
    return { secret: `${user}:${password}`, other: `${user}:${word()}`, id, body, headers, ...more };
  }],
  // The signature stands in the body, beside the eight values that it covers.
  adyen: ["@adyen/api-library", "signs", async () => {
    const [[secret, other], item] = [adyenKeys(), adyenItem()];
    const signature = adyen.calculateHmac(item, secret);
    const says = (item) => adyen.validateHMAC({ ...item, additionalData: { hmacSignature: signature } }, secret);
    await accepts(item, says, { ...item, merchantReference: `${item.merchantReference} ` });
    const sent = { ...item, additionalData: { hmacSignature: "HERE" } };
    const body = json({ live: "false", notificationItems: [{ NotificationRequestItem: sent }] }).replace("HERE", () => signature);
    const id = `${item.pspReference}:${item.eventCode}:${item.success}`;
    const covered = written(body, pick(["pspReference", "merchantReference", "value", "currency", "success", "eventCode"]));
    return { secret, other, id, body, covered, headers: {}, signature: [signature, "base64"] };
  }],
  "adyen-platform": ["@adyen/api-library", "signs", async () => {
    const [[secret, other], body] = [adyenKeys(), json({ type: "balancePlatform.accountHolder.created" })];
    const signature = adyen.calculateHmac(body, secret);
    await accepts(body, (body) => adyen.validateHMACSignature(secret, signature, body));
    return { secret, other, id: "", body, headers: { HmacSignature: signature, Protocol: "HmacSHA256" }, signature: [signature, "base64"] };
  }],
  lithic: ["lithic", "accepts", () =>
    standardAccepted(unlessThrown((headers, body, secret) => lithic.webhooks.unwrap(body, headers, secret)))],
  orb: ["orb-billing", "accepts", async () => {
    const [secret, other, id, at] = [phrase(), phrase(), word(), new Date().toISOString().slice(0, pick([19, 23]))];
    const body = json({ id, type: "invoice.issued" });
    const signature = hmac("sha256", secret, `v1:${at}:${body}`, "hex");
    const old = hmac("sha256", word(), `v1:${at}:${body}`, "hex");
    const headers = { "X-Orb-Timestamp": at, "X-Orb-Signature": pick([`v1=${signature}`, `v1=${old} v1=${signature}`]) };
    await accepts(body, unlessThrown((body) => orb.webhooks.verifySignature(body, headers, secret)));
    return { secret, other, id, body, headers, signature: [signature, "hex"] };
  }],
  "modern-treasury": ["modern-treasury", "signs", async () => {
    const [secret, other, id, body] = [phrase(), phrase(), randomUUID(), json({ event: "completed", data: { object: "payment_order" } })];
    const { webhooks } = new ModernTreasury({ apiKey: "k", organizationID: "o", webhookKey: secret });
    const signature = webhooks.getSignature(body);
    await accepts(body, (body) => webhooks.validateSignature(body, signature));
    const headers = { "X-Signature": signature, "X-Event-ID": id, "X-Topic": "payment_order" };
    return { secret, other, id, body, headers, signature: [signature, "hex"] };
  }],
  onfido: ["@onfido/api", "accepts", () => {
    const href = `https://api.eu.onfido.com/v3.6/checks/${word(4)}`;
    const object = { id: randomUUID(), completed_at_iso8601: new Date().toISOString(), href };
    const id = `check.completed:${object.id}:${object.completed_at_iso8601}:${object.href}`;
    const verdict = unlessThrown((body, signature, token) => new WebhookEventVerifier(token).readPayload(body, signature));
    const members = { payload: { resource_type: "check", action: "check.completed", object } };
    return bodyHmacAccepted(verdict, "X-SHA2-Signature", members, { id });
  }],
  razorpay: ["razorpay", "accepts", () => {
    const id = word(7);
    const settings = { id, more: { "X-Razorpay-Event-Id": id } };
    const members = { entity: "event", event: "payment.captured" };
    return bodyHmacAccepted(Razorpay.validateWebhookSignature, "X-Razorpay-Signature", members, settings);
  }],
  gocardless: ["gocardless-nodejs", "accepts", () => {
    const event = () => ({ id: `EV${word(6)}`, resource_type: "payments", action: "confirmed", note: text() });
    const events = Array.from({ length: randomInt(1, 4) }, event);
    const verdict = unlessThrown((body, signature, secret) => gocardless.parse(body, secret, signature));
    return bodyHmacAccepted(verdict, "Webhook-Signature", { events }, { id: events.map(({ id }) => id).join(",") });
  }],
  // A form, in which XML in base64 is what is signed, and the signature stands beside it behind the public key of its pair.
  braintree: ["braintree", "accepts", async () => {
    const [secret, other, publicKey, payload] = [word(16), word(16), word(8), braintreePayload()];
    const signed = (key) => hmac("sha1", createHash("sha1").update(key).digest(), payload, "hex");
    const [signature, old] = [signed(secret), `${word(8)}|${signed(word())}`];
    const header = pick([`${publicKey}|${signature}`, `${old}&${publicKey}|${signature}`]);
    const gateway = new braintree.BraintreeGateway({
      environment: braintree.Environment.Sandbox, merchantId: "m", publicKey, privateKey: secret,
    });
    await accepts(payload, unlessThrown((payload) => gateway.webhookNotification.parse(header, payload)), `PA${payload}`);
    const body = new URLSearchParams({ bt_signature: header, bt_payload: payload }).toString();
    const covered = body.slice(body.indexOf("bt_payload="));
    const more = { type: "application/x-www-form-urlencoded", credentials: { public_key: publicKey }, signature: [signature, "hex"] };
    return { secret, other, id: "", body, covered, headers: {}, ...more };
  }],
  "coinbase-commerce": ["coinbase-commerce-node", "signs", async () => {
    const [secret, other, id] = [phrase(), phrase(), randomUUID()];
    const body = json({ id: randomUUID(), event: { id, type: "charge:confirmed" } });
    const signature = commerce.Webhook.computeSignature(body, secret);
    await accepts(body, unlessThrown((body) => commerce.Webhook.verifyEventBody(body, signature, secret)));
    return { secret, other, id, body, headers: { "X-CC-Webhook-Signature": signature }, signature: [signature, "hex"] };
  }],
  // EasyPost takes the secret in Unicode's form KD, in which `é` is two letters and `𝒳` another.
  easypost: ["@easypost/api", "accepts", async () => {
    const [secret, other, id] = [phrase(), phrase(), `evt_${word()}`];
    const body = json({ id, description: "tracker.updated", result: { weight: 17.5 } });
    const signature = hmac("sha256", secret.normalize("NFKD"), body, "hex");
    const headers = { "X-Hmac-Signature": `hmac-sha256-hex=${signature}` };
    await accepts(body, unlessThrown((body) => easypost.Utils.validateWebhook(Buffer.from(body), headers, secret)));
    return { secret, other, id, body, headers, signature: [signature, "hex"] };
  }],
  // Of the request the id in the URL is signed, and nothing of the body.
  mercadopago: ["mercadopago", "accepts", async () => {
    const [secret, other, id, dataId, xRequestId] = [word(32), word(32), `${randomInt(1e9)}`, word(5).toUpperCase(), randomUUID()];
    const at = pick([seconds(), Date.now()]);
    const signature = hmac("sha256", secret, `id:${dataId};request-id:${xRequestId};ts:${at};`, "hex");
    const xSignature = `ts=${at},v1=${signature}`;
    await accepts(dataId, unlessThrown((dataId) => MercadoPago.validate({ xSignature, xRequestId, dataId, secret })), `${dataId}x`);
    const url = `https://hooks.example.com/hooks/mercadopago?data.id=${dataId}&type=payment`;
    const headers = { "x-signature": xSignature, "x-request-id": xRequestId };
    const more = { otherUrl: url.replace(dataId, `${dataId}x`), signature: [signature, "hex"], bodyCounts: false };
    return { secret, other, id, url, body: json({ id, type: "payment", data: { id: dataId } }), headers, ...more };
  }],
  // Polar's library refuses an event that it does not know, once it has found the signature right.
  polar: ["@polar-sh/sdk", "accepts", () => {
    const verdict = (headers, body, secret) => {
      try {
        polarValidate(body, headers, secret);
      } catch (error) {
        if (error instanceof WebhookVerificationError) return false;
      }
      return true;
    };
    const secrets = () => [1, 2].map(() => `${pick(["polar_whs_", "whsec_", ""])}${word()}`);
    return standardAccepted(verdict, { secrets, key: (secret) => secret });
  }],
  // BigCommerce names the library for Standard Webhooks, and has the secret encoded so that this one decodes it again.
  bigcommerce: ["standardwebhooks", "signs", async () => {
    const [secret, other] = [word(32), word(32)];
    const made = await standard(class extends StandardWebhook {
      constructor() {
        super(Buffer.from(secret).toString("base64"));
      }
    }, "webhook");
    return { ...made, secret, other };
  }],
  etsy: ["standardwebhooks", "signs", () => standard(StandardWebhook, "webhook")],
};
