// Requests signed by the vendors' own JavaScript libraries, or accepted by them where they only verify: fresh, random, of this moment.
//
// node sign.mjs FOLDER ROUNDS [PROVIDER,...] writes two files for each request, as crosscheck.py describes them. It ends with an error when
// a library does not accept what was signed for it, or accepts it with another body.

import { createHash, createHmac, generateKeyPairSync, randomBytes, randomInt, randomUUID, sign as signWith } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { sign as octokitSign, verify as octokitVerify } from "@octokit/webhooks-methods";
import { Paddle } from "@paddle/paddle-node-sdk";
import sendgrid from "@sendgrid/eventwebhook";
import "@shopify/shopify-api/adapters/node";
import { shopifyApi } from "@shopify/shopify-api";
import bolt from "@slack/bolt";
import { signWebhookPayload, verifyWebhookSignature } from "@notionhq/client";
import { verifySignature } from "@vonage/jwt";
import { basicAuthValidator } from "chargebee";
import discord from "discord-interactions";
import ebayKeys from "event-notification-nodejs-sdk/lib/client.js";
import ebay from "event-notification-nodejs-sdk/lib/validator.js";
import { WebhooksHelper } from "square";
import { Webhook as StandardWebhook } from "standardwebhooks";
import Stripe from "stripe";
import { Webhook as SvixWebhook } from "svix";
import twilio from "twilio";
import { getExpectedBodyHash } from "twilio/lib/webhooks/webhooks.js";

/** Letters of one to four bytes, and those that JSON, forms and URLs write in several ways. */
const PRINTED = [..."abcXYZ019 _-.~!*'();:@&=+$,/?%#[]{}|\\^`<>\"", "é", "ß", "Ж", "ÿ", "中", "한", "😀", "𝒳"];
const LETTERS = [...PRINTED, "\t", "\r", "\n", "\u2028", "\u0000", "\u007f"];

const pick = (list) => list[randomInt(list.length)];
const text = (most = 40, letters = LETTERS) => Array.from({ length: randomInt(most + 1) }, () => pick(letters)).join("");
/** A secret of a vendor that takes any text for one. */
const phrase = () => text(20, PRINTED) + word();
const word = (bytes = 12) => randomBytes(bytes).toString("hex");
const seconds = () => Math.floor(Date.now() / 1000);
const hmac = (hash, key, message, encoding) => createHmac(hash, key).update(message).digest(encoding);

function value(depth) {
  const kinds = [() => text(), () => randomInt(1e9), () => randomInt(1e6) / 8, () => pick([true, false, null])];
  if (depth > 0) {
    kinds.push(() => Array.from({ length: randomInt(4) }, () => value(depth - 1)));
    kinds.push(() => Object.fromEntries(Array.from({ length: randomInt(4) }, () => [`x${word(3)}`, value(depth - 1)])));
  }
  return pick(kinds)();
}

/** A JSON body with these members and random ones, written in one of the ways vendors write. */
function json(members, wrap = (whole) => whole) {
  const whole = JSON.stringify(wrap({ ...members, data: value(3), note: text(200) }), null, pick([undefined, 1, 2, "\t"]));
  const escaped = whole.replace(/[^\x00-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
  return pick([whole, whole, escaped, whole.replaceAll("/", "\\/")]) + pick(["", "", "\n", "\r\n"]);
}

/** Has the library say yes to the request and no to the same with another body. */
async function accepts(body, verdict) {
  const answer = async (body) => {
    try {
      return (await verdict(body)) === true;
    } catch {
      return false;
    }
  };
  if (!(await answer(body))) throw new Error("the library does not accept what was signed for it");
  if (await answer(`${body} `)) throw new Error("the library accepts another body too");
}

/** What the libraries for Standard Webhooks and its relatives have in common. */
async function standard(Library, names, more = {}) {
  const [secret, other] = [randomBytes(32), randomBytes(32)].map((key) => `whsec_${key.toString("base64")}`);
  const [id, at, body] = [`msg_${word()}`, seconds(), json({ type: `a.${word(3)}` })];
  const signature = new Library(secret).sign(id, new Date(at * 1000), body);
  const headers = { [`${names}-id`]: id, [`${names}-timestamp`]: `${at}`, [`${names}-signature`]: signature, ...more };
  return { secret, other, id, body, headers, signature: [signature.slice("v1,".length), "base64"] };
}

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

async function discordRequest(members, id = "") {
  const raw = (key) => key.export({ type: "spki", format: "der" }).subarray(-32).toString("hex");
  const [ours, theirs] = [generateKeyPairSync("ed25519"), generateKeyPairSync("ed25519")];
  const [at, body] = [`${seconds()}`, json(members)];
  const signature = signWith(null, Buffer.from(at + body), ours.privateKey).toString("hex");
  const secret = raw(ours.publicKey);
  await accepts(body, (body) => discord.verifyKey(body, signature, at, secret));
  const headers = { "X-Signature-Timestamp": at, "X-Signature-Ed25519": signature };
  return { secret, other: raw(theirs.publicKey), id, body, headers, signature: [signature, "hex"] };
}

/** A URL as it is registered, with the query that comes with it, and as Twilio may sign it: with the port or without. */
function twilioUrls(query) {
  const tail = `/hooks/${word(3)}${query ? `?${query}` : ""}`;
  return { url: `https://hooks.example.com${tail}`, signed: `https://hooks.example.com${pick(["", ":443"])}${tail}` };
}

const vendors = {
  github: ["@octokit/webhooks-methods", "signs", async () => {
    const [secret, other, id, body] = [phrase(), phrase(), randomUUID(), json({ action: "opened" })];
    const signature = await octokitSign(secret, body);
    await accepts(body, (body) => octokitVerify(secret, body, signature));
    const headers = { "X-GitHub-Event": "issues", "X-GitHub-Delivery": id, "X-Hub-Signature-256": signature };
    return { secret, other, id, body, headers, signature: [signature.slice("sha256=".length), "hex"] };
  }],
  stripe: ["stripe", "signs", async () => {
    const [secret, other, id] = [`whsec_${word()}`, `whsec_${word()}`, `evt_${word()}`];
    const body = json({ id, object: "event", type: "invoice.paid" });
    const header = Stripe.webhooks.generateTestHeaderString({ payload: body, secret });
    await accepts(body, (body) => Stripe.webhooks.constructEvent(body, header, secret).id === id);
    return { secret, other, id, body, headers: { "Stripe-Signature": header }, signature: [/v1=([0-9a-f]+)/.exec(header)[1], "hex"] };
  }],
  "standard-webhooks": ["standardwebhooks", "signs", () => standard(StandardWebhook, "webhook")],
  "gitlab-signing-token": ["standardwebhooks", "signs", () => standard(StandardWebhook, "webhook", { "X-Gitlab-Event": "Push Hook" })],
  svix: ["svix", "signs", () => standard(SvixWebhook, "svix")],
  slack: ["@slack/bolt", "accepts", async () => {
    const [secret, other, id, at] = [word(16), word(16), `Ev${word(6)}`, seconds()];
    const body = json({ type: "event_callback", event_id: id, event: { type: "message", text: text() } });
    const signature = hmac("sha256", secret, `v0:${at}:${body}`, "hex");
    const headers = { "X-Slack-Request-Timestamp": `${at}`, "X-Slack-Signature": `v0=${signature}` };
    const lower = { "x-slack-request-timestamp": at, "x-slack-signature": `v0=${signature}` };
    await accepts(body, (body) => bolt.isValidSlackRequest({ signingSecret: secret, body, headers: lower }));
    return { secret, other, id, body, headers, signature: [signature, "hex"] };
  }],
  twilio: ["twilio", "signs", async () => {
    const [secret, other, id] = [word(16), word(16), randomUUID()];
    const names = Array.from({ length: randomInt(1, 12) }, () => pick(["Body", "From", "to", "CallSid", `P${word(2)}`]));
    const fields = Object.fromEntries(names.map((name) => [name, pick([text, text, () => [text(8), text(8), text(8)]])()]));
    const { url, signed } = twilioUrls(pick(["", "a=1&b=x%20y", "q=%C3%A9&z="]));
    const form = Object.entries(fields).flatMap(([name, values]) => [values].flat().map((value) => [name, value]));
    const body = new URLSearchParams(form).toString();
    const signature = twilio.getExpectedTwilioSignature(secret, signed, fields);
    const add = (all, [name, value]) => ({ ...all, [name]: name in all ? [all[name], value].flat() : value });
    const parsed = (body) => [...new URLSearchParams(body)].reduce(add, {});
    await accepts(body, (body) => twilio.validateRequest(secret, signature, url, parsed(body)));
    const headers = { "X-Twilio-Signature": signature, "I-Twilio-Idempotency-Token": id };
    return { secret, other, id, url, body, headers, type: "application/x-www-form-urlencoded", signature: [signature, "base64"] };
  }],
  "twilio-json-body": ["twilio", "signs", async () => {
    const [secret, other, id, body] = [word(16), word(16), randomUUID(), json({ EventType: "onMessageAdded" })];
    const { url, signed } = twilioUrls(`${pick(["", "a=1&"])}bodySHA256=${getExpectedBodyHash(body)}`);
    const signature = twilio.getExpectedTwilioSignature(secret, signed, {});
    await accepts(body, (body) => twilio.validateRequestWithBody(secret, signature, url, body));
    const headers = { "X-Twilio-Signature": signature, "I-Twilio-Idempotency-Token": id };
    return { secret, other, id, url, body, headers, signature: [signature, "base64"] };
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
    return { secret, other, id, url, body, headers: { "x-square-hmacsha256-signature": signature }, signature: [signature, "base64"] };
  }],
  paddle: ["@paddle/paddle-node-sdk", "accepts", async () => {
    const [secret, other, id, at] = [`pdl_ntfset_${word()}`, `pdl_ntfset_${word()}`, `evt_${word()}`, seconds()];
    const body = json({ event_id: id, event_type: "transaction.completed" });
    const signature = hmac("sha256", secret, `${at}:${body}`, "hex");
    const header = `ts=${at};h1=${signature}`;
    await accepts(body, (body) => new Paddle("k").webhooks.isSignatureValid(body, secret, header));
    return { secret, other, id, body, headers: { "Paddle-Signature": header }, signature: [signature, "hex"] };
  }],
  sendgrid: ["@sendgrid/eventwebhook", "accepts", async () => {
    const spki = (key) => key.export({ type: "spki", format: "der" }).toString("base64");
    const [ours, theirs] = [1, 2].map(() => generateKeyPairSync("ec", { namedCurve: "P-256" }));
    const [secret, id, at] = [spki(ours.publicKey), word(), `${seconds()}`];
    const body = json({ sg_event_id: id, event: "delivered" }, (event) => [event]);
    const signature = signWith("sha256", Buffer.from(at + body), ours.privateKey).toString("base64");
    const library = new sendgrid.EventWebhook();
    await accepts(body, (body) => library.verifySignature(library.convertPublicKeyToECDSA(secret), body, signature, at));
    const headers = { "X-Twilio-Email-Event-Webhook-Timestamp": at, "X-Twilio-Email-Event-Webhook-Signature": signature };
    return { secret, other: spki(theirs.publicKey), id, body, headers, signature: [signature, "base64"] };
  }],
  discord: ["discord-interactions", "accepts", () => discordRequest({ version: 1, type: 1, event: { type: "ENTITLEMENT_CREATE" } })],
  "discord-interactions": ["discord-interactions", "accepts", () => {
    const id = `${randomInt(2 ** 40)}`;
    return discordRequest({ id, type: 2, token: word() }, id);
  }],
  // Vonage's library looks at the token only, and Chargebee's at the password: that the body counts is not theirs to say.
  vonage: ["@vonage/jwt", "accepts", async () => {
    const [secret, other, id] = [word(24), word(24), randomUUID()];
    const body = json({ message_uuid: id, channel: "sms" });
    const part = (content) => Buffer.from(JSON.stringify(content)).toString("base64url");
    const claims = { iat: seconds(), jti: randomUUID(), iss: "Vonage", payload_hash: createHash("sha256").update(body).digest("hex") };
    const head = `${part({ alg: "HS256", typ: "JWT" })}.${part(claims)}`;
    const signature = hmac("sha256", secret, head, "base64url");
    const token = `${head}.${signature}`;
    if (!verifySignature(token, secret)) throw new Error("the library does not accept the token");
    if (verifySignature(token, other)) throw new Error("the library accepts the token with another secret");
    return { secret, other, id, body, headers: { Authorization: `Bearer ${token}` }, signature: [signature, "base64url"] };
  }],
  notion: ["@notionhq/client", "signs", async () => {
    const [secret, other, id] = [`secret_${word(20)}`, `secret_${word(20)}`, randomUUID()];
    const body = json({ id, type: "page.created", attempt_number: randomInt(1, 9) });
    const signature = await signWebhookPayload({ body, verificationToken: secret });
    await accepts(body, (body) => verifyWebhookSignature({ body, signature, verificationToken: secret }));
    const headers = { "X-Notion-Signature": signature };
    return { secret, other, id, body, headers, signature: [signature.slice("sha256=".length), "hex"] };
  }],
  // eBay's library asks for the key, which is given here, and signs what JSON.stringify writes: its bodies are written so.
  ebay: ["event-notification-nodejs-sdk", "accepts", async () => {
    const [ours, theirs] = [1, 2].map(() => generateKeyPairSync("ec", { namedCurve: "P-256" }));
    const line = (key) => key.export({ type: "spki", format: "pem" }).replaceAll("\n", "");
    const [secret, id, kid, url] = [line(ours.publicKey), randomUUID(), randomUUID(), "https://hooks.example.com/hooks/ebay"];
    const body = JSON.stringify({ metadata: { topic: "MARKETPLACE_ACCOUNT_DELETION" }, notification: { notificationId: id, data: value(3) } });
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
};

/** Writes one request: the bytes as they would come over the wire, and beside them what crosscheck.py has to know. */
function write(folder, name, provider, sdk, part, request) {
  const target = request.url ? new URL(request.url) : new URL(`https://hooks.example.com/hooks/${provider}`);
  const body = Buffer.from(request.body);
  const type = request.type ?? "application/json";
  const headers = { Host: target.host, "Content-Type": type, ...request.headers, "Content-Length": body.length };
  const fields = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const head = `POST ${target.pathname}${target.search} HTTP/1.1\r\n${fields.join("")}\r\n`;
  writeFileSync(join(folder, `${name}.http`), Buffer.concat([Buffer.from(head), body]));
  const [signature, encoding] = request.signature;
  const { secret, other, url = null, id, packed = null, credentials = {}, bodyCounts = true } = request;
  const asked = { secret, other_secret: other, url, event_id: id, signature, encoding, packed, credentials, body_counts: bodyCounts };
  const known = { provider, sdk, part, ...asked };
  writeFileSync(join(folder, `${name}.json`), JSON.stringify(known));
}

const [folder, rounds, only = ""] = process.argv.slice(2);
mkdirSync(folder, { recursive: true });
for (const [provider, [sdk, part, make]] of Object.entries(vendors)) {
  if (only && !only.split(",").includes(provider)) continue;
  const { version } = JSON.parse(readFileSync(new URL(`node_modules/${sdk}/package.json`, import.meta.url)));
  for (let round = 0; round < Number(rounds); round += 1) {
    try {
      write(folder, `${provider}.npm.${round}`, provider, `${sdk} ${version} (npm)`, part, await make());
    } catch (error) {
      error.message = `${provider}: ${error.message}`;
      throw error;
    }
  }
}
