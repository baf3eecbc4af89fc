"""Asks the admin API of a running hookgate what schemathesis makes of its own OpenAPI document.

python campaign.py --bin hookgate --cases 2000 [--seed N]

A gateway is started on free loopback ports, rung with some events that are accepted and some that are not, asked, and ended. What must
hold: no answer is a server error, every answer is one that the document announces, what the document allows is taken, what it does not is
refused, and no endpoint answers without a token. Endpoints that are planned are left out: they answer 501, and say so.
"""

import argparse
import hashlib
import hmac
import json
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

SECRET = "a-secret-of-the-campaign-0123456789"
TOKEN = "a-token-of-the-campaign-0123456789abcdef"
# Events rung before it begins, and how many of them are signed with another secret.
EVENTS, WRONG = 30, 5
# Seconds a start, a stop or one answer may take.
PATIENCE = 30


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def configuration(folder, door, admin):
    # Nobody listens at the targets: deliveries wait, are retried and can be acted on.
    return f"""
data_dir: "{folder}/data"
server: {{ listen: "127.0.0.1:{door}" }}
admin: {{ listen: "127.0.0.1:{admin}", tokens: [{{ name: campaign, role: admin, token: "{TOKEN}" }}] }}
sources: {{ hub: {{ provider: github, secret: "{SECRET}" }} }}
targets:
  app: {{ url: "http://127.0.0.1:9/" }}
  crm: {{ url: "http://127.0.0.1:9/", retry: {{ attempts: 1 }} }}
routes: [{{ to: [app, crm] }}]
"""


def ask(url, data=None, headers=()):
    request = urllib.request.Request(url, data=data, headers=dict(headers))
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read()


def ring(door):
    for number in range(EVENTS):
        body = json.dumps({"number": number}).encode()
        secret = SECRET if number >= WRONG else SECRET + "-wrong"
        signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        status, _ = ask(
            f"http://127.0.0.1:{door}/hooks/hub",
            body,
            {
                "Content-Type": "application/json",
                "X-GitHub-Event": "push",
                "X-GitHub-Delivery": f"d-{number}",
                "X-Hub-Signature-256": f"sha256={signature}",
            },
        )
        expected = 200 if number >= WRONG else 401
        if status != expected:
            sys.exit(f"event {number}: {status} instead of {expected}")


def until(what, holds):
    deadline = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > deadline:
            sys.exit(f"it never came that {what}")
        time.sleep(0.05)


def is_ready(process, admin):
    if process.poll() is not None:
        sys.exit("the gateway ended at its start")
    try:
        return ask(f"http://127.0.0.1:{admin}/readyz")[0] == 200
    except OSError:
        return False


def operations(admin):
    status, body = ask(f"http://127.0.0.1:{admin}/api/openapi.json", headers={"Authorization": f"Bearer {TOKEN}"})
    if status != 200:
        sys.exit(f"/api/openapi.json: {status}")
    paths = json.loads(body)["paths"].values()
    return sum(1 for path in paths for operation in path.values() if not operation.get("x-planned"))


def campaign(folder, admin, cases, seed):
    """Runs schemathesis, shows what it says, and gives its exit code and what it counted."""
    each = -(-cases // operations(admin))
    command = [
        str(pathlib.Path(sys.executable).with_name("schemathesis")),
        "run",
        f"http://127.0.0.1:{admin}/api/openapi.json",
        f"--header=Authorization: Bearer {TOKEN}",
        "--checks=all",
        f"--max-examples={each}",
        f"--seed={seed}",
        "--exclude-path-regex=^/$|/(reload|tail)$",
        f"--request-timeout={PATIENCE}",
        "--continue-on-failure",
        "--output-truncate=false",
    ]
    said = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    print(said.stdout)
    counted = re.search(r"(\d[\d,]*) generated", said.stdout)
    return said.returncode, int(counted.group(1).replace(",", "")) if counted else 0


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--bin", required=True)
    arguments.add_argument("--cases", type=int, default=2000)
    arguments.add_argument("--seed", type=int, default=1)
    chosen = arguments.parse_args()
    binary = pathlib.Path(chosen.bin).resolve()
    door, admin = free_port(), free_port()
    with tempfile.TemporaryDirectory(prefix="hookgate-campaign-") as folder:
        file = pathlib.Path(folder, "hookgate.yaml")
        file.write_text(configuration(folder, door, admin), encoding="utf-8")
        log = pathlib.Path(folder, "log")
        with log.open("wb") as out:
            gateway = subprocess.Popen([binary, "run", "-c", file], stdout=out, stderr=out, cwd=folder)
        try:
            until("the gateway was ready", lambda: is_ready(gateway, admin))
            ring(door)
            code, cases = campaign(folder, admin, chosen.cases, chosen.seed)
            alive = ask(f"http://127.0.0.1:{admin}/livez")[0] == 200
        finally:
            gateway.send_signal(signal.SIGTERM)
            try:
                end = gateway.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                gateway.kill()
                end = gateway.wait()
        said = log.read_text(encoding="utf-8", errors="replace")
    # Dead letters are what the target is configured for.
    lines = [line for line in said.splitlines() if '"event":"delivery_dead"' not in line]
    errors = [line for line in lines if '"level":"error"' in line or "panicked" in line]
    print("\n".join(errors[:20]))
    print(f"{cases} cases (at least {chosen.cases} were asked for), {len(errors)} errors in the log, alive: {alive}, ended with {end}")
    sys.exit(0 if code == 0 and cases >= chosen.cases and not errors and alive and end == 0 else 1)


main()
