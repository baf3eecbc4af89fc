// Platforms for developers: code, work, identity, content and models. By provider: the library, whether it signs or accepts, and a request.

import { createHash, randomInt, randomUUID } from "node:crypto";

import Anthropic from "@anthropic-ai/sdk";
import { verifyWebhook as clerkVerify } from "@clerk/backend/webhooks";
import { signRequest, verifyRequest } from "@contentful/node-apps-toolkit";
import { EventCallbackHelper, EventCallbackRequest } from "@dropbox/sign";
import { Signature as HubSpot } from "@hubspot/api-client";
import { LinearWebhookClient } from "@linear/sdk/webhooks";
import Mux from "@mux/mux-node";
import { signWebhookPayload, verifyWebhookSignature } from "@notionhq/client";
import { sign as octokitSign, verify as octokitVerify } from "@octokit/webhooks-methods";
import { encodeSignatureHeader, isValidSignature } from "@sanity/webhook";
import { WorkOS } from "@workos-inc/node";
import connect from "atlassian-jwt";
import { WebhooksManager as Box } from "box-node-sdk/lib/managers/webhooks";
import OpenAI from "openai";
import { validateWebhook as replicateValidate } from "replicate";
import { Webhook as StandardWebhook } from "standardwebhooks";
import { Webhook as SvixWebhook } from "svix";
import { WebflowClient } from "webflow-api";

import {
  accepts, bodyHmacAccepted, hmac, json, phrase, pick, plain, PRINTED, seconds, standard, standardAccepted, text, unlessThrown, word,
  written,
} from "./make.mjs";

const sha256 = (body) => createHash("sha256").update(body).digest("hex");

/** Events as HubSpot batches them, and what hookgate calls the batch; none for what comes from a workflow, which has no ids. */
function hubspotBatch() {
  const events = Array.from({ length: randomInt(1, 4) }, () => ({
    eventId: randomInt(2 ** 40), subscriptionId: randomInt(1e6), portalId: randomInt(1e6), occurredAt: Date.now() - randomInt(1e5),
    subscriptionType: "contact.creation", attemptNumber: randomInt(10),
  }));
  const all = (name) => events.map((event) => event[name]).join(",");
  const id = `${all("portalId")}:${all("subscriptionId")}:${all("eventId")}:${all("occurredAt")}`;
  return { id, wrap: (whole) => [{ ...events[0], ...whole }, ...events.slice(1)] };
}

/** The characters that HubSpot's documentation has decoded in the URL before it is signed. */
const hubspotDecoded = (url) => url.replace(/%(?:3A|2F|3F|40|21|24|27|28|29|2A|2C|3B)/g, (escaped) => decodeURIComponent(escaped));

/** A query of random text, every letter that means something escaped. */
function query(names) {
  const escaped = (text) => encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
  return names.map((name) => `${name}=${escaped(text(12, PRINTED))}`).join("&");
}

async function hubspot(version, spelled) {
  const [secret, other, timestamp] = [randomUUID(), randomUUID(), `${Date.now()}`];
  const base = `https://hooks.example.com/hooks/${word(3)}`;
  const url = pick([base, `${base}?${query(["a", "note"])}`]);
  const { id, wrap } = version === "v1" ? hubspotBatch() : pick([hubspotBatch, () => ({ id: null, wrap: (whole) => whole })])();
  const body = json({}, wrap);
  const asked = { url: spelled(url), timestamp, clientSecret: secret };
  const signature = HubSpot.getSignature("POST", version, { ...asked, requestBody: body });
  const settled = { ...asked, method: "POST", signatureVersion: version, signature };
  await accepts(body, (requestBody) => HubSpot.isValid({ ...settled, requestBody }));
  return { secret, other, timestamp, id, url, body, signature };
}

/** The two older signatures of HubSpot's, hashes with the secret in front, of which the first does not cover the URL. */
async function hubspotHash(version) {
  const { id, url, signature, ...more } = await hubspot(version, (url) => url);
  const headers = { "X-HubSpot-Signature": signature, "X-HubSpot-Signature-Version": version };
  const otherUrl = version === "v1" ? undefined : `${url}x`;
  return { ...more, url, otherUrl, id: id ?? "", headers, signature: [signature, "hex"] };
}

const anthropic = new Anthropic({ apiKey: "k", webhookKey: "k" });
const mux = new Mux({ tokenId: "k", tokenSecret: "k" });
const openai = new OpenAI({ apiKey: "k" });
const webflow = new WebflowClient({ accessToken: "k" });
const workos = new WorkOS("sk_k");

export const platforms = {
  github: ["@octokit/webhooks-methods", "signs", async () => {
    const [secret, other, id, body] = [phrase(), phrase(), randomUUID(), json({ action: "opened" })];
    const signature = await octokitSign(secret, body);
    await accepts(body, (body) => octokitVerify(secret, body, signature));
    const headers = { "X-GitHub-Event": "issues", "X-GitHub-Delivery": id, "X-Hub-Signature-256": signature };
    return { secret, other, id, body, headers, signature: [signature.slice("sha256=".length), "hex"] };
  }],
  "standard-webhooks": ["standardwebhooks", "signs", () => standard(StandardWebhook, "webhook")],
  "gitlab-signing-token": ["standardwebhooks", "signs", () => standard(StandardWebhook, "webhook", { "X-Gitlab-Event": "Push Hook" })],
  svix: ["svix", "signs", () => standard(SvixWebhook, "svix")],
  notion: ["@notionhq/client", "signs", async () => {
    const [secret, other, id] = [`secret_${word(20)}`, `secret_${word(20)}`, randomUUID()];
    const body = json({ id, type: "page.created", attempt_number: randomInt(1, 9) });
    const signature = await signWebhookPayload({ body, verificationToken: secret });
    await accepts(body, (body) => verifyWebhookSignature({ body, signature, verificationToken: secret }));
    const headers = { "X-Notion-Signature": signature };
    return { secret, other, id, body, headers, signature: [signature.slice("sha256=".length), "hex"] };
  }],
  openai: ["openai", "accepts", () =>
    standardAccepted(unlessThrown((headers, body, secret) => openai.webhooks.unwrap(body, headers, secret)))],
  anthropic: ["@anthropic-ai/sdk", "accepts", () => {
    const id = `event_${word()}`;
    const members = { type: "event", id, created_at: new Date().toISOString() };
    return standardAccepted(unlessThrown((headers, body, key) => anthropic.beta.webhooks.unwrap(body, { headers, key })), { members, id });
  }],
  replicate: ["replicate", "accepts", () => standardAccepted((headers, body, secret) => replicateValidate({ headers, body }, secret))],
  mux: ["@mux/mux-node", "accepts", async () => {
    const [secret, other, id, at] = [word(16), word(16), randomUUID(), seconds()];
    const body = json({ id, type: "video.asset.ready", attempts: [] });
    const signature = hmac("sha256", secret, `${at}.${body}`, "hex");
    const headers = { "Mux-Signature": `t=${at},v1=${signature}` };
    await accepts(body, unlessThrown((body) => mux.webhooks.verifySignature(body, headers, secret)));
    return { secret, other, id, body, headers, signature: [signature, "hex"] };
  }],
  workos: ["@workos-inc/node", "signs", async () => {
    const [secret, other, id, at] = [word(16), word(16), `event_${word()}`, Date.now()];
    const body = plain({ id, event: "user.created", created_at: new Date(at).toISOString() });
    const signature = await workos.webhooks.computeSignature(at, JSON.parse(body), secret);
    const sigHeader = `t=${at}, v1=${signature}`;
    const says = (body) => workos.webhooks.verifyHeader({ payload: JSON.parse(body), sigHeader, secret });
    await accepts(body, says, body.replace(id, word()));
    return { secret, other, id, body, headers: { "WorkOS-Signature": sigHeader }, signature: [signature, "hex"] };
  }],
  clerk: ["@clerk/backend", "accepts", () => {
    const request = (headers, body) => new Request("https://hooks.example.com/", { method: "POST", headers, body });
    const verdict = unlessThrown((headers, body, signingSecret) => clerkVerify(request(headers, body), { signingSecret }));
    return standardAccepted(verdict, { names: "svix" });
  }],
  "supabase-auth-hooks": ["standardwebhooks", "signs", async () => {
    const uuid = randomUUID();
    const [secret, other] = [1, 2].map(() => Buffer.from(word(16)).toString("base64"));
    const [message, at, body] = [randomUUID(), seconds(), json({ metadata: { uuid, name: "send-email" }, email_data: {} })];
    const library = new StandardWebhook(secret);
    const signature = library.sign(message, new Date(at * 1000), body);
    const headers = { "webhook-id": message, "webhook-timestamp": `${at}`, "webhook-signature": signature };
    await accepts(body, unlessThrown((body) => library.verify(body, headers)));
    // While a secret is exchanged Supabase joins two signatures, where Standard Webhooks has only a blank between them.
    const old = new StandardWebhook(Buffer.from(word(16)).toString("base64")).sign(message, new Date(at * 1000), body);
    headers["webhook-signature"] = pick([signature, `${signature}, ${old}`, `${old}, ${signature}`]);
    const more = { secret: `v1,whsec_${secret}`, other: `v1,whsec_${other}` };
    return { ...more, id: uuid, body, headers, signature: [signature.slice("v1,".length), "base64"] };
  }],
  linear: ["@linear/sdk", "accepts", () => {
    const id = randomUUID();
    const verdict = (body, signature, secret) => new LinearWebhookClient(secret).verify(Buffer.from(body), signature);
    const members = { type: "Issue", action: "create", webhookTimestamp: Date.now(), webhookId: randomUUID() };
    const settings = { id, secrets: [1, 2].map(() => `lin_wh_${word()}`), more: { "Linear-Delivery": id, "Linear-Event": "Issue" } };
    return bodyHmacAccepted(verdict, "Linear-Signature", members, settings);
  }],
  // The token covers method, path and query, in a spelling of Atlassian's own, and nothing of the body. What is repeated in the query is
  // sorted before it is escaped.
  "atlassian-connect": ["atlassian-jwt", "signs", async () => {
    const [secret, other, id, iss, at] = [phrase(), phrase(), randomUUID(), randomUUID(), seconds()];
    const base = "https://hooks.example.com";
    const repeated = Array.from({ length: randomInt(4) }, () => `user_key=${encodeURIComponent(text(6, PRINTED))}`);
    const parts = [query(["b", "A", "x~y"].filter(() => randomInt(2))), ...repeated].filter(Boolean);
    const url = `${base}/hooks/${word(3)}?${[...parts, query(["a"])].join("&")}`;
    const qsh = (url) => connect.createQueryStringHash(connect.fromMethodAndUrl("POST", url), false, base);
    const token = connect.encodeSymmetric({ iss, iat: at, exp: at + 180, qsh: qsh(url) }, secret, "HS256");
    const otherUrl = `${url}x`;
    await accepts(url, (url) => connect.decodeSymmetric(token, secret, "HS256").qsh === qsh(url), otherUrl);
    const headers = { Authorization: `JWT ${token}`, "X-Atlassian-Webhook-Identifier": id };
    const more = { signature: [token.split(".")[2], "base64url"], credentials: { client_key: iss }, bodyCounts: false };
    return { secret, other, id, url, otherUrl, body: json({ webhookEvent: "jira:issue_updated" }), headers, ...more };
  }],
  "hubspot-v3": ["@hubspot/api-client", "signs", async () => {
    // The library signs the URL as it is given: as it was sent, or decoded as the documentation says.
    const { timestamp, id, body, url, signature, ...more } = await hubspot("v3", pick([hubspotDecoded, (url) => url]));
    const headers = { "X-HubSpot-Signature-v3": signature, "X-HubSpot-Request-Timestamp": timestamp };
    const named = id ?? `${timestamp}:${sha256(body)}`;
    return { ...more, url, otherUrl: `${url}x`, id: named, body, headers, signature: [signature, "base64"] };
  }],
  "hubspot-v2": ["@hubspot/api-client", "signs", () => hubspotHash("v2")],
  "hubspot-v1": ["@hubspot/api-client", "signs", () => hubspotHash("v1")],
  // Contentful's toolkit signs the headers that it is given, and says which.
  contentful: ["@contentful/node-apps-toolkit", "signs", async () => {
    const [secret, other, id] = [word(32), word(32), word(32)];
    const ascii = PRINTED.filter((letter) => letter < "\x7f");
    const own = Array.from({ length: randomInt(4) }, () => [`X-${pick(["My", "my", "Z", "0"])}-${word(2)}`, text(20, ascii).trim()]);
    const usual = { "X-Contentful-Idempotency-Key": id, "X-Contentful-Topic": "ContentManagement.Entry.save" };
    const given = { "Content-Type": "application/json", ...usual, ...Object.fromEntries(own) };
    const [method, path, body] = ["POST", `/hooks/${word(3)}`, json({ sys: { type: "Entry" } })];
    const signed = signRequest(secret, { method, path, headers: given, body }, Date.now());
    const headers = { ...given, ...signed };
    await accepts(body, (body) => verifyRequest(secret, { method, path, headers, body }, 30));
    const url = `https://hooks.example.com${path}`;
    const otherUrl = `${url}x`;
    return { secret, other, id, url, otherUrl, body, headers, signature: [signed["x-contentful-signature"], "hex"] };
  }],
  sanity: ["@sanity/webhook", "signs", async () => {
    const [secret, other, id, body] = [phrase(), phrase(), word(), json({ _id: word(), _type: "post" })];
    const header = await encodeSignatureHeader(body, Date.now(), secret);
    await accepts(body, (body) => isValidSignature(body, header, secret));
    const headers = { "sanity-webhook-signature": header, "idempotency-key": id, "sanity-operation": "create" };
    return { secret, other, id, body, headers, signature: [header.split("v1=")[1], "base64url"] };
  }],
  webflow: ["webflow-api", "accepts", async () => {
    const [secret, other, at, body] = [word(32), word(32), `${Date.now()}`, json({ triggerType: "form_submission", payload: {} })];
    const signature = hmac("sha256", secret, `${at}:${body}`, "hex");
    const headers = { "x-webflow-timestamp": at, "x-webflow-signature": signature };
    await accepts(body, (body) => webflow.webhooks.verifySignature({ headers, body, secret }));
    return { secret, other, id: "", body, headers, signature: [signature, "hex"] };
  }],
  // Box signs with two keys, of which hookgate is told one.
  box: ["box-node-sdk", "accepts", async () => {
    const [keys, other, id] = [{ primary: word(16), secondary: word(16) }, word(16), randomUUID()];
    const at = pick([new Date().toISOString(), `${new Date(Date.now() - 7 * 3600e3).toISOString().slice(0, 19)}-07:00`]);
    const body = json({ type: "webhook_event", id, trigger: "FILE.UPLOADED" });
    const signed = (key) => hmac("sha256", key, body + at, "base64");
    const [primary, secondary] = [signed(keys.primary), signed(keys.secondary)];
    const headers = { "BOX-DELIVERY-TIMESTAMP": at, "BOX-SIGNATURE-VERSION": "1", "BOX-SIGNATURE-ALGORITHM": "HmacSHA256" };
    Object.assign(headers, { "BOX-SIGNATURE-PRIMARY": primary, "BOX-SIGNATURE-SECONDARY": secondary });
    const lower = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
    const one = pick(["primary", "secondary"]);
    const asked = one === "primary" ? [keys.primary, {}] : [undefined, { secondaryKey: keys.secondary }];
    await accepts(body, (body) => Box.validateMessage(body, lower, ...asked));
    return { secret: keys[one], other, id, body, headers, signature: [one === "primary" ? primary : secondary, "base64"] };
  }],
  // The hash in the JSON of the form covers the event's time and type, and nothing else of it.
  "dropbox-sign": ["@dropbox/sign", "accepts", async () => {
    const [secret, other, at, request, signatureId] = [word(32), word(32), `${seconds()}`, word(20), word(16)];
    const type = pick(["signature_request_signed", "signature_request_all_signed", "template_created"]);
    const signature = hmac("sha256", secret, at + type, "hex");
    const event = { event_type: type, event_time: at, event_hash: signature };
    const signed = { ...event, event_metadata: { related_signature_id: signatureId } };
    const [members, named] = pick([
      [{ event: signed, signature_request: { signature_request_id: request } }, `${request}:${signatureId}`],
      [{ event, signature_request: { signature_request_id: request } }, request],
      [{ event, template: { template_id: request } }, request],
      [{ event }, null],
    ]);
    const whole = json(members);
    const says = (event) => EventCallbackHelper.isValid(secret, EventCallbackRequest.init({ ...members, event }));
    await accepts(event, says, { ...event, event_type: "template_error" });
    const boundary = `b${word()}`;
    const body = `--${boundary}\r\nContent-Disposition: form-data; name="json"\r\n\r\n${whole}\r\n--${boundary}--\r\n`;
    const id = `${signature}:${named ?? sha256(whole)}`;
    const more = { type: `multipart/form-data; boundary=${boundary}`, covered: written(body, pick(["event_time", "event_type"])) };
    return { secret, other, id, body, headers: {}, ...more, signature: [signature, "hex"] };
  }],
};
