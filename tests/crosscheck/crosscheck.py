"""Asks hookgate about requests that the vendors' own libraries signed or accept.

python3 crosscheck.py --bin hookgate --requests FOLDER [--only PROVIDER,...]

FOLDER holds two files for each request. NAME.http has the bytes as they come over the wire. NAME.json says what is known of it:

  provider       which provider file it is for
  sdk, part      the library with its version, and whether it `signs` or `accepts`
  secret         what it verifies with; other_secret: another one of the same form
  url            the public URL, where the signature covers it, else null
  event_id       what hookgate calls it, empty for a provider without ids
  signature      the signature as it stands in the head, and its encoding: hex, base64 or base64url
  packed         the field in which the signature stands, where that is JSON in base64; left out elsewhere
  credentials    further ones by their names, if there are any
  body_counts    whether the scheme covers the body

Each request must be accepted as it is, and refused with one bit of its body flipped, with one bit of its signature flipped, and with the
other secret. What is not so is told with the request that shows it; a table counts what was so. Standard library only.
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

# Providers a whole run must have asked about: fewer means that a library or a script went silent.
PROVIDERS_MIN = 12
# Seconds one question may take.
QUESTION_SECONDS = 30
# How many requests that went wrong are told one by one.
TOLD_MAX = 40
CHECKS = ("accepted", "body", "signature", "secret")
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
    the next higher ones turn `%2B` into `%2b`, which is the same field."""
    form = b"application/x-www-form-urlencoded" in request.head
    return request.head + flipped(request.body, secrets.randbelow(len(request.body)), 0 if form else secrets.randbelow(8))


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
    if request.head.count(text.encode()) != 1:
        raise SystemExit(f"{request.name}: the signature does not stand in the head exactly once")
    return request.head.replace(text.encode(), spelled.encode()) + request.body


def ask(binary, request, data, secret):
    """What hookgate says of these bytes: `accepted` with the event's id, `rejected` with the reason, or `failed` with what it wrote."""
    command = [binary, "verify", request.known["provider"], "--secret-env", SECRET_VARIABLE, "--json"]
    if request.known["url"]:
        command += ["--url", request.known["url"]]
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
        "accepted": (whole, known["secret"], "accepted"),
        "body": (with_another_body(request), known["secret"], "rejected"),
        "signature": (with_another_signature(request), known["secret"], "rejected"),
        "secret": (whole, known["other_secret"], "rejected"),
    }
    if not known["body_counts"]:
        del questions["body"]
    right, wrong = [], []
    for check, (data, secret, expected) in questions.items():
        verdict, why = ask(binary, request, data, secret)
        if verdict != expected:
            wrong.append(f"{check}: {verdict} ({why}), not {expected}")
        elif check == "accepted" and why != known["event_id"]:
            wrong.append(f"{check}: the event is called {why!r}, not {known['event_id']!r}")
        else:
            right.append(check)
    return request, right, wrong


def table(requests, results):
    """Counts by provider and library."""
    asked, good, uncovered = collections.Counter(), collections.Counter(), set()
    for request in requests:
        row = (request.known["provider"], request.known["sdk"], request.known["part"])
        asked[row] += 1
        if not request.known["body_counts"]:
            uncovered.add(row)
    for request, right, _ in results:
        for check in right:
            good[request.known["provider"], request.known["sdk"], request.known["part"], check] += 1
    lines = [f"{'provider':24} {'library':40} {'it':8} {'requests':>8}" + "".join(f"{check:>10}" for check in CHECKS)]
    for row in sorted(asked):
        cells = ("-" if check == "body" and row in uncovered else good[(*row, check)] for check in CHECKS)
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
