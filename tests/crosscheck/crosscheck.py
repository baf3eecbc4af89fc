"""Asks hookgate about requests that the vendors' own libraries signed or accept.

python3 crosscheck.py --bin hookgate --requests FOLDER [--only PROVIDER,...]

FOLDER holds two files for each request. NAME.http has the bytes as they come over the wire. NAME.json says what is known of it:

  provider       which provider file it is for
  sdk, part      the library with its version, and whether it `signs` or `accepts`
  at             when it was made, in seconds since 1970; the questions are asked as of then, however long a run takes
  secret         what it verifies with; other_secret: another one of the same form
  url            the public URL, where hookgate has to be told it, else null
  other_url      another one, where the signature covers the URL, else null
  event_id       what hookgate calls it, empty for a provider without ids
  signature      the signature as it stands in the head or the body, and its encoding: hex, base64 or base64url
  packed         the field in which the signature stands, where that is JSON in base64; left out elsewhere
  credentials    further ones by their names, if there are any
  body_counts    whether the scheme covers the body
  covered        the piece of the body that it covers, where that is not the whole of it

Each request must be accepted as it is, and refused with one bit of its body flipped, with one bit of its signature flipped, with the
other secret, and at the other URL. What is not so is told with the request that shows it; a table counts what was so. Standard library
only.
"""

import argparse
import base64
import collections
import concurrent.futures
import json
import os
import pathlib
import secrets
import subprocess
import sys
import urllib.parse

# Providers a whole run must have asked about: fewer means that a library or a script went silent.
PROVIDERS_MIN = 50
# Seconds one question may take.
QUESTION_SECONDS = 30
# How many requests that went wrong are told one by one.
TOLD_MAX = 40
CHECKS = ("accepted", "body", "signature", "secret", "url")
SECRET_VARIABLE = "CROSSCHECK_SECRET"

Request = collections.namedtuple("Request", "name head body known")


def read(folder, only):
    """The requests of a folder, those of some providers or all."""
    requests = []
    for about in sorted(folder.glob("*.json")):
        known = json.loads(about.read_text(encoding="utf-8"))
        if only and known["provider"] not in only:
            continue
        head, blank, body = about.with_suffix(".http").read_bytes().partition(b"\r\n\r\n")
        requests.append(Request(about.stem, head + blank, body, known))
    return requests


def flipped(data, at, bit):
    """The bytes with one bit of one of them turned over."""
    return data[:at] + bytes([data[at] ^ (1 << bit)]) + data[at + 1 :]


def with_another_body(request):
    """One bit of the body turned over. In a form it is the lowest, so that what changes is what the form says and not how it is spelled:
    the next higher ones turn `%2B` into `%2b`, which is the same field. So too where only a piece of the body counts, in which the same
    letter can be spelled in two ways as well."""
    form = b"application/x-www-form-urlencoded" in request.head
    covered = request.known.get("covered")
    if covered and request.body.count(covered.encode()) != 1:
        raise SystemExit(f"{request.name}: what is covered does not stand in the body exactly once")
    piece = covered.encode() if covered else request.body
    at = request.body.index(piece) + secrets.randbelow(len(piece))
    return request.head + flipped(request.body, at, 0 if form or covered else secrets.randbelow(8))


def with_another_signature(request):
    """One bit of the signature turned over, and the rest of the request as it was. The bytes are turned and not their spelling, so that
    the answer is about the signature."""
    text, encoding = request.known["signature"], request.known["encoding"]
    if encoding == "hex":
        raw = bytes.fromhex(text)
    elif encoding == "base64":
        raw = base64.b64decode(text, validate=True)
    else:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    turned = flipped(raw, secrets.randbelow(len(raw)), secrets.randbelow(8))
    spelled = {
        "hex": turned.hex,
        "base64": lambda: base64.b64encode(turned).decode(),
        "base64url": lambda: base64.urlsafe_b64encode(turned).decode().rstrip("="),
    }[encoding]()
    packed = request.known.get("packed")
    if packed:
        inside = base64.b64decode(packed, validate=True)
        if inside.count(text.encode()) != 1:
            raise SystemExit(f"{request.name}: the signature does not stand in what is packed exactly once")
        text, spelled = packed, base64.b64encode(inside.replace(text.encode(), spelled.encode())).decode()
    whole = request.head + request.body
    if whole.count(text.encode()) != 1:
        raise SystemExit(f"{request.name}: the signature does not stand in the request exactly once")
    return whole.replace(text.encode(), spelled.encode())


def at_another_url(request):
    """The request as it comes to the other URL."""
    target = urllib.parse.urlsplit(request.known["other_url"])
    method, _, version = request.head.partition(b"\r\n")[0].split(b" ")
    line = b" ".join([method, target._replace(scheme="", netloc="").geturl().encode(), version])
    return line + request.head[request.head.index(b"\r\n") :] + request.body


def ask(binary, request, data, secret, url):
    """What hookgate says of these bytes: `accepted` with the event's id, `rejected` with the reason, or `failed` with what it wrote."""
    command = [binary, "verify", request.known["provider"], "--secret-env", SECRET_VARIABLE, "--at", str(request.known["at"]), "--json"]
    if url:
        command += ["--url", url]
    for name, value in request.known.get("credentials", {}).items():
        command += ["--credential", f"{name}={value}"]
    environment = {**os.environ, SECRET_VARIABLE: secret}
    done = subprocess.run(command + ["-"], input=data, env=environment, capture_output=True, timeout=QUESTION_SECONDS, check=False)
    verdict = {0: "accepted", 1: "rejected"}.get(done.returncode, "failed")
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        return "failed", done.stderr.decode(errors="replace").strip() or f"exit code {done.returncode}"
    if answer["verdict"] != verdict:
        return "failed", f"exit code {done.returncode} with the verdict {answer['verdict']}"
    return verdict, answer["event_id"] if verdict == "accepted" else answer["reason"]


def try_all(binary, request):
    """What was right about one request, and what was wrong, in words."""
    known = request.known
    whole = request.head + request.body
    questions = {
        "accepted": (whole, known["secret"], known["url"]),
        "signature": (with_another_signature(request), known["secret"], known["url"]),
        "secret": (whole, known["other_secret"], known["url"]),
    }
    if known["body_counts"]:
        questions["body"] = (with_another_body(request), known["secret"], known["url"])
    if known["other_url"]:
        questions["url"] = (at_another_url(request), known["secret"], known["other_url"])
    right, wrong = [], []
    for check, asked in questions.items():
        expected = "accepted" if check == "accepted" else "rejected"
        verdict, why = ask(binary, request, *asked)
        if verdict != expected:
            wrong.append(f"{check}: {verdict} ({why}), not {expected}")
        elif check == "accepted" and why != known["event_id"]:
            wrong.append(f"{check}: the event is called {why!r}, not {known['event_id']!r}")
        else:
            right.append(check)
    return request, right, wrong


def table(requests, results):
    """Counts by provider and library; a line stands where there was nothing to ask."""
    row_of = lambda request: (request.known["provider"], request.known["sdk"], request.known["part"])
    asked, good = collections.Counter(map(row_of, requests)), collections.Counter()
    beyond = {"body": {row_of(r) for r in requests if r.known["body_counts"]}, "url": {row_of(r) for r in requests if r.known["other_url"]}}
    for request, right, _ in results:
        good.update((row_of(request), check) for check in right)
    lines = [f"{'provider':24} {'library':40} {'it':8} {'requests':>8}" + "".join(f"{check:>10}" for check in CHECKS)]
    for row in sorted(asked):
        cells = (good[row, check] if row in beyond.get(check, asked) else "-" for check in CHECKS)
        lines.append(f"{row[0]:24} {row[1]:40} {row[2]:8} {asked[row]:8}" + "".join(f"{cell:>10}" for cell in cells))
    return lines


def main():
    arguments = argparse.ArgumentParser(description="Asks hookgate about requests that the vendors' own libraries signed or accept.")
    arguments.add_argument("--bin", required=True, help="the hookgate binary")
    arguments.add_argument("--requests", required=True, type=pathlib.Path, help="the folder with the requests")
    arguments.add_argument("--only", default="", help="these providers, with commas between them")
    given = arguments.parse_args()
    if not os.access(given.bin, os.X_OK):
        raise SystemExit(f"{given.bin}: there is no binary here; build it, or name another with HOOKGATE_BIN")
    only = set(filter(None, given.only.split(",")))
    requests = read(given.requests, only)
    seen = {request.known["provider"] for request in requests}
    if only - seen:
        raise SystemExit(f"{given.requests}: no request for {', '.join(sorted(only - seen))}")
    if not only and len(seen) < PROVIDERS_MIN:
        raise SystemExit(f"{given.requests}: requests for {len(seen)} providers, and there are at least {PROVIDERS_MIN}")
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(lambda request: try_all(given.bin, request), requests))
    told = [f"{request.name}: {line}" for request, _, wrong in results for line in wrong]
    print("\n".join(table(requests, results)))
    for line in told[:TOLD_MAX]:
        print(line, file=sys.stderr)
    if told:
        raise SystemExit(f"{len(told)} mismatches; the requests are in {given.requests}")
    print(f"{len(requests)} requests of {len(seen)} providers: every answer as it should be")


main()
