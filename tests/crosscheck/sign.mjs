// Requests signed by the vendors' own JavaScript libraries, or accepted by them where they only verify: fresh, random, of this moment.
//
// node sign.mjs FOLDER ROUNDS [PROVIDER,...] writes two files for each request, as crosscheck.py describes them. It ends with an error when
// a library does not accept what was signed for it, or accepts it with another body.

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { seconds } from "./make.mjs";
import { messages } from "./messages.mjs";
import { money } from "./money.mjs";
import { platforms } from "./platforms.mjs";

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
  const { secret, other, url = null, otherUrl = null, id, packed = null, credentials = {}, bodyCounts = true, covered = null } = request;
  const asked = { secret, other_secret: other, url, other_url: otherUrl, credentials, body_counts: bodyCounts, covered };
  const known = { provider, sdk, part, at: seconds(), event_id: id, ...asked, signature, encoding, packed };
  writeFileSync(join(folder, `${name}.json`), JSON.stringify(known));
}

const [folder, rounds, only = ""] = process.argv.slice(2);
mkdirSync(folder, { recursive: true });
for (const [provider, [sdk, part, make]] of Object.entries({ ...platforms, ...money, ...messages })) {
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
