// Messages, calls and meetings. By provider: the library, whether it signs or accepts, and a request.

import { createHash, generateKeyPairSync, randomInt, randomUUID, sign as signWith } from "node:crypto";

import sendgrid from "@sendgrid/eventwebhook";
import bolt from "@slack/bolt";
import { verifySignature } from "@vonage/jwt";
import { AwsLambdaReceiver } from "@zoom/rivet/meetings";
import discord from "discord-interactions";
import Pusher from "pusher";
import { Resend } from "resend";
import twilio from "twilio";
import { getExpectedBodyHash } from "twilio/lib/webhooks/webhooks.js";

import { accepts, hmac, json, pick, plain, seconds, standardAccepted, text, unlessThrown, word } from "./make.mjs";

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

const resend = new Resend("re_k");

export const messages = {
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
    const more = { type: "application/x-www-form-urlencoded", signature: [signature, "base64"] };
    return { secret, other, id, url, otherUrl: `${url}x`, body, headers, ...more };
  }],
  "twilio-json-body": ["twilio", "signs", async () => {
    const [secret, other, id, body] = [word(16), word(16), randomUUID(), json({ EventType: "onMessageAdded" })];
    const { url, signed } = twilioUrls(`${pick(["", "a=1&"])}bodySHA256=${getExpectedBodyHash(body)}`);
    const signature = twilio.getExpectedTwilioSignature(secret, signed, {});
    await accepts(body, (body) => twilio.validateRequestWithBody(secret, signature, url, body));
    const headers = { "X-Twilio-Signature": signature, "I-Twilio-Idempotency-Token": id };
    return { secret, other, id, url, otherUrl: url.replace("/hooks/", "/hooks/x"), body, headers, signature: [signature, "base64"] };
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
  // Vonage's library looks at the token only: that the body counts is not its to say.
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
  // Zoom's library answers as the function of a cloud does: with a status, and with a line on the console before it.
  zoom: ["@zoom/rivet", "accepts", async () => {
    const [secret, other, at] = [word(11), word(11), `${seconds()}`];
    const body = plain({ event: "meeting.started", event_ts: Date.now(), payload: {} });
    const signature = hmac("sha256", secret, `v0:${at}:${body}`, "hex");
    const headers = { "x-zm-request-timestamp": at, "x-zm-signature": `v0=${signature}` };
    const receiver = new AwsLambdaReceiver({ webhooksSecretToken: secret });
    receiver.init({ eventEmitter: { emit: async () => {} } });
    const answer = receiver.start();
    console.debug = () => {};
    const says = async (body) => (await answer({ body, headers, isBase64Encoded: false }, {})).statusCode === 200;
    await accepts(body, says, body.replace("started", "ended"));
    return { secret, other, id: "", body, headers, signature: [signature, "hex"] };
  }],
  pusher: ["pusher", "accepts", async () => {
    const [secret, other, key, at] = [word(10), word(10), word(10), Date.now()];
    const body = json({ time_ms: at, events: [{ name: "channel_occupied", channel: text() }] });
    const signature = hmac("sha256", secret, body, "hex");
    const library = new Pusher({ appId: "1", key, secret, cluster: "eu" });
    const headers = { "x-pusher-key": key, "x-pusher-signature": signature };
    const asked = { ...headers, "content-type": "application/json" };
    await accepts(body, (rawBody) => library.webhook({ headers: asked, rawBody }).isValid());
    return { secret, other, id: "", body, headers, signature: [signature, "hex"] };
  }],
  resend: ["resend", "accepts", () => {
    const named = (headers) => ({ id: headers["svix-id"], timestamp: headers["svix-timestamp"], signature: headers["svix-signature"] });
    const verdict = (headers, payload, webhookSecret) => resend.webhooks.verify({ payload, headers: named(headers), webhookSecret });
    return standardAccepted(unlessThrown(verdict), { names: "svix" });
  }],
};
