// What the requests are made of: random text and JSON, signatures, and the question that each library must answer both ways.

import { createHmac, randomBytes, randomInt } from "node:crypto";

/** Letters of one to four bytes, and those that JSON, forms and URLs write in several ways. */
export const PRINTED = [..."abcXYZ019 _-.~!*'();:@&=+$,/?%#[]{}|\\^`<>\"", "é", "ß", "Ж", "ÿ", "中", "한", "😀", "𝒳"];
const LETTERS = [...PRINTED, "\t", "\r", "\n", "\u2028", "\u0000", "\u007f"];

export const pick = (list) => list[randomInt(list.length)];
export const text = (most = 40, letters = LETTERS) => Array.from({ length: randomInt(most + 1) }, () => pick(letters)).join("");
/** A secret of a vendor that takes any text for one. */
export const phrase = () => text(20, PRINTED) + word();
export const word = (bytes = 12) => randomBytes(bytes).toString("hex");
export const seconds = () => Math.floor(Date.now() / 1000);
export const hmac = (hash, key, message, encoding) => createHmac(hash, key).update(message).digest(encoding);

export function value(depth) {
  const kinds = [() => text(), () => randomInt(1e9), () => randomInt(1e6) / 8, () => pick([true, false, null])];
  if (depth > 0) {
    kinds.push(() => Array.from({ length: randomInt(4) }, () => value(depth - 1)));
    kinds.push(() => Object.fromEntries(Array.from({ length: randomInt(4) }, () => [`x${word(3)}`, value(depth - 1)])));
  }
  return pick(kinds)();
}

/** A JSON body with these members and random ones, written in one of the ways vendors write. */
export function json(members, wrap = (whole) => whole) {
  const whole = JSON.stringify(wrap({ ...members, data: value(3), note: text(200) }), null, pick([undefined, 1, 2, "\t"]));
  const escaped = whole.replace(/[^\x00-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
  return pick([whole, whole, escaped, whole.replaceAll("/", "\\/")]) + pick(["", "", "\n", "\r\n"]);
}

/** The same as JSON.stringify writes it, for a library that parses a body and signs what that makes of it. */
export const plain = (members) => JSON.stringify({ ...members, data: value(3), note: text(200) });

/** For a library that throws where it says no. */
export const unlessThrown = (action) => async (...asked) => {
  await action(...asked);
  return true;
};

/** Has the library say yes to the request and no to the same with another body, or with another of what else it is asked about. */
export async function accepts(body, verdict, another = `${body} `) {
  const answer = async (body) => {
    try {
      return (await verdict(body)) === true;
    } catch {
      return false;
    }
  };
  if (!(await answer(body))) throw new Error("the library does not accept what was signed for it");
  if (await answer(another)) throw new Error("the library accepts another body too");
}

/** What the libraries for Standard Webhooks and its relatives have in common. */
export async function standard(Library, names, more = {}) {
  const [secret, other] = [randomBytes(32), randomBytes(32)].map((key) => `whsec_${key.toString("base64")}`);
  const [id, at, body] = [`msg_${word()}`, seconds(), json({ type: `a.${word(3)}` })];
  const signature = new Library(secret).sign(id, new Date(at * 1000), body);
  const headers = { [`${names}-id`]: id, [`${names}-timestamp`]: `${at}`, [`${names}-signature`]: signature, ...more };
  return { secret, other, id, body, headers, signature: [signature.slice("v1,".length), "base64"] };
}

/**
 * A request in the way of Standard Webhooks for a library that only verifies, which is asked with headers, body and secret. `members` are
 * those of the body, `id` is what the event is called where that is not the message's id, and `key` what the secret stands for.
 */
export async function standardAccepted(verdict, settings = {}) {
  const { names = "webhook", members = { type: `a.${word(3)}` }, id, secrets = standardSecrets, key = standardKey } = settings;
  const [[secret, other], message, at, body] = [secrets(), `msg_${word()}`, `${seconds()}`, json(members)];
  const signature = hmac("sha256", key(secret), `${message}.${at}.${body}`, "base64");
  const headers = { [`${names}-id`]: message, [`${names}-timestamp`]: at, [`${names}-signature`]: `v1,${signature}` };
  await accepts(body, (body) => verdict(headers, body, secret));
  return { secret, other, id: id ?? message, body, headers, signature: [signature, "base64"] };
}

const standardSecrets = () => [1, 2].map(() => `whsec_${randomBytes(pick([24, 32])).toString("base64")}`);
const standardKey = (secret) => Buffer.from(secret.slice("whsec_".length), "base64");

/** A request with the HMAC of its body in a header, for a library that only verifies: it is asked with body, signature and secret. */
export async function bodyHmacAccepted(verdict, header, members, settings = {}) {
  const { id, secrets = [phrase(), phrase()], more = {} } = settings;
  const [[secret, other], body] = [secrets, json(members)];
  const signature = hmac("sha256", secret, body, "hex");
  await accepts(body, (body) => verdict(body, signature, secret));
  return { secret, other, id, body, headers: { ...more, [header]: signature }, signature: [signature, "hex"] };
}

/** The piece of a JSON body that holds this member, which is a text or a number, as it is written there. */
export function written(body, name) {
  return new RegExp(`"${name}":\\s*("(?:[^"\\\\]|\\\\.)*"|[0-9]+)`).exec(body)[0];
}
