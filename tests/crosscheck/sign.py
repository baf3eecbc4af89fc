"""Requests signed by the vendors' own Python libraries, or accepted by them where they only verify: fresh, random, of this moment.

python sign.py FOLDER ROUNDS [PROVIDER,...] writes two files for each request, as crosscheck.py describes them. It ends with an error when a
library does not accept what was signed for it, or accepts it with another body.
"""

import base64
import contextlib
import datetime
import hashlib
import hmac
import io
import json
import pathlib
import secrets
import sys
import time
import urllib.parse
import uuid
from importlib.metadata import version

import discord_interactions
import increase
import pusher
import standardwebhooks
import svix.webhooks
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from linebot.v3.webhook import SignatureValidator as LineValidator
from mollie.utils.webhooks.signature_validator import InvalidSignatureException, SignatureValidator as MollieValidator
from sendgrid.helpers.eventwebhook import EventWebhook
from slack_sdk.signature import SignatureVerifier
from square.utils.webhooks_helper import verify_signature
from twilio.request_validator import RequestValidator
from viberbot import Api as ViberApi
from viberbot.api.bot_configuration import BotConfiguration

# Letters of one to four bytes, and those that JSON, forms and URLs write in several ways.
PRINTED = "abcXYZ019 _-.~!*'();:@&=+$,/?%#[]{}|\\^`<>\"éßЖÿ中한😀𝒳"
LETTERS = PRINTED + "\t\r\n\u2028\u0000\u007f"

pick = secrets.choice


def text(most=40, letters=LETTERS):
    return "".join(pick(letters) for _ in range(secrets.randbelow(most + 1)))


def word(count=12):
    return secrets.token_hex(count)


def phrase():
    """A secret of a vendor that takes any text for one."""
    return text(20, PRINTED) + word()


def value(depth):
    kinds = [text, lambda: secrets.randbelow(10**9), lambda: secrets.randbelow(10**6) / 8, lambda: pick([True, False, None])]
    if depth > 0:
        kinds.append(lambda: [value(depth - 1) for _ in range(secrets.randbelow(4))])
        kinds.append(lambda: {f"x{word(3)}": value(depth - 1) for _ in range(secrets.randbelow(4))})
    return pick(kinds)()


def document(members, wrap=lambda whole: whole):
    """A JSON body with these members and random ones, written in one of the ways vendors write."""
    whole = wrap({**members, "data": value(3), "note": text(200)})
    separators = pick([(",", ":"), (", ", ": ")])
    return json.dumps(whole, ensure_ascii=pick([True, False]), indent=pick([None, 2]), separators=separators) + pick(["", "", "\n", "\r\n"])


def encoded(raw):
    return base64.b64encode(raw).decode()


def accepts(body, verdict):
    """Has the library say yes to the request and no to the same with another body."""
    # Discord's library prints why it says no.
    with contextlib.redirect_stdout(io.StringIO()):
        same, another = verdict(body), verdict(body + " ")
    if same is not True:
        raise AssertionError("the library does not accept what was signed for it")
    if another is True:
        raise AssertionError("the library accepts another body too")


def standard(library, names):
    """What the libraries for Standard Webhooks and its relatives have in common."""
    secret, other = ("whsec_" + encoded(secrets.token_bytes(32)) for _ in range(2))
    identity, at, body = f"msg_{word()}", int(time.time()), document({"type": f"a.{word(3)}"})
    moment = datetime.datetime.fromtimestamp(at, datetime.timezone.utc)
    signature = library(secret).sign(identity, moment, body)
    headers = {f"{names}-id": identity, f"{names}-timestamp": str(at), f"{names}-signature": signature}
    return dict(secret=secret, other=other, id=identity, body=body, headers=headers, signature=(signature.removeprefix("v1,"), "base64"))


def unless_raised(error, action):
    """For a library that raises where it says no."""
    try:
        action()
    except error:
        return False
    return True


def slack():
    secret, other, identity, at = word(16), word(16), f"Ev{word(6)}", str(int(time.time()))
    body = document({"type": "event_callback", "event_id": identity, "event": {"type": "message"}})
    library = SignatureVerifier(secret)
    signature = library.generate_signature(timestamp=at, body=body)
    headers = {"X-Slack-Request-Timestamp": at, "X-Slack-Signature": signature}
    accepts(body, lambda body: library.is_valid_request(body, headers))
    return dict(secret=secret, other=other, id=identity, body=body, headers=headers, signature=(signature.removeprefix("v0="), "hex"))


def twilio(algorithm, more):
    """Form callbacks, signed with the auth token (SHA-1) or with a shared key (SHA-256)."""
    secret, other, identity = word(16), word(16), str(uuid.uuid4())
    fields = {pick(["Body", "From", "to", "CallSid", f"P{word(2)}"]): text() for _ in range(1 + secrets.randbelow(12))}
    tail = f"/hooks/{word(3)}{pick(['', '?a=1&b=x%20y', '?q=%C3%A9&z='])}"
    url = f"https://hooks.example.com{tail}"
    body = urllib.parse.urlencode(fields)
    library = RequestValidator(secret)
    signature = library.compute_signature(f"https://hooks.example.com{pick(['', ':443'])}{tail}", fields, algorithm)
    parsed = lambda body: dict(urllib.parse.parse_qsl(body, keep_blank_values=True))
    accepts(body, lambda body: library.validate(url, parsed(body), signature, algorithm))
    headers = {"X-Twilio-Signature": signature, "I-Twilio-Idempotency-Token": identity, **more}
    kind = "application/x-www-form-urlencoded"
    more = dict(url=url, other_url=url + "x", type=kind, signature=(signature, "base64"))
    return dict(secret=secret, other=other, id=identity, body=body, headers=headers, **more)


def square():
    secret, other, identity = word(), word(), str(uuid.uuid4())
    url = f"https://hooks.example.com/hooks/{word(3)}{pick(['', '?a=%20b'])}"
    body = document({"event_id": identity, "type": "payment.created"})
    signature = encoded(hmac.digest(secret.encode(), (url + body).encode(), hashlib.sha256))
    asked = dict(signature_header=signature, signature_key=secret, notification_url=url)
    accepts(body, lambda body: verify_signature(request_body=body, **asked))
    headers = {"x-square-hmacsha256-signature": signature}
    more = dict(url=url, other_url=url + "x", signature=(signature, "base64"))
    return dict(secret=secret, other=other, id=identity, body=body, headers=headers, **more)


def sendgrid():
    spki = lambda key: encoded(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    ours, theirs = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    identity, at = word(), str(int(time.time()))
    body = document({"sg_event_id": identity, "event": "delivered"}, lambda event: [event])
    signature = encoded(ours.sign((at + body).encode(), ec.ECDSA(hashes.SHA256())))
    library = EventWebhook(spki(ours))
    accepts(body, lambda body: library.verify_signature(body, signature, at))
    headers = {"X-Twilio-Email-Event-Webhook-Timestamp": at, "X-Twilio-Email-Event-Webhook-Signature": signature}
    return dict(secret=spki(ours), other=spki(theirs), id=identity, body=body, headers=headers, signature=(signature, "base64"))


def discord():
    raw = lambda key: key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()
    ours, theirs = (ed25519.Ed25519PrivateKey.generate() for _ in range(2))
    at, body = str(int(time.time())), document({"version": 1, "type": 1, "event": {"type": "ENTITLEMENT_CREATE"}})
    signature = ours.sign((at + body).encode()).hex()
    accepts(body, lambda body: discord_interactions.verify_key(body.encode(), signature, at, raw(ours)))
    headers = {"X-Signature-Timestamp": at, "X-Signature-Ed25519": signature}
    return dict(secret=raw(ours), other=raw(theirs), id="", body=body, headers=headers, signature=(signature, "hex"))


def increase_events():
    """Standard Webhooks, but for the key, which is the text of the secret whatever that begins with."""
    secret, other = (pick(["", "whsec_", "ü"]) + word() for _ in range(2))
    identity, at, body = f"event_{word()}", str(int(time.time())), document({"id": f"event_{word()}", "category": "account.created"})
    signature = encoded(hmac.digest(secret.encode(), f"{identity}.{at}.{body}".encode(), hashlib.sha256))
    headers = {"webhook-id": identity, "webhook-timestamp": at, "webhook-signature": f"v1,{signature}"}
    events = increase.Increase(api_key="k", webhook_secret=secret).events
    accepts(body, lambda body: unless_raised(standardwebhooks.WebhookVerificationError, lambda: events.unwrap(body, headers=headers)))
    return dict(secret=secret, other=other, id=json.loads(body)["id"], body=body, headers=headers, signature=(signature, "base64"))


def line():
    """LINE batches its events: one, several, or none when the URL is tested."""
    secret, other = word(16), word(16)
    events = [{"type": "message", "webhookEventId": word(), "text": text()} for _ in range(secrets.randbelow(4))]
    body = document({"destination": f"U{word(16)}", "events": events})
    signature = encoded(hmac.digest(secret.encode(), body.encode(), hashlib.sha256))
    accepts(body, lambda body: LineValidator(secret).validate(body, signature))
    headers = {"x-line-signature": signature}
    identity = ",".join(event["webhookEventId"] for event in events)
    return dict(secret=secret, other=other, id=identity, body=body, headers=headers, signature=(signature, "base64"))


def mollie():
    """Mollie's library takes the signature with a prefix and without."""
    secret, other, identity = phrase(), phrase(), f"event_{word()}"
    body = document({"resource": "event", "id": identity, "type": "payment-link.paid"})
    signature = MollieValidator.create_signature(body, secret)
    header = pick(["sha256=", ""]) + signature
    accepts(body, lambda body: unless_raised(InvalidSignatureException, lambda: MollieValidator.validate(body, secret, header)))
    headers = {"X-Mollie-Signature": header}
    return dict(secret=secret, other=other, id=identity, body=body, headers=headers, signature=(signature, "hex"))


def pusher_channels():
    secret, other, key = word(10), word(10), word(10)
    events = [{"name": "channel_occupied", "channel": text()} for _ in range(1 + secrets.randbelow(3))]
    body = document({"time_ms": int(time.time() * 1000), "events": events})
    signature = hmac.digest(secret.encode(), body.encode(), hashlib.sha256).hex()
    library = pusher.Pusher(app_id="1", key=key, secret=secret)
    accepts(body, lambda body: library.validate_webhook(key, signature, body) is not None)
    headers = {"X-Pusher-Key": key, "X-Pusher-Signature": signature}
    return dict(secret=secret, other=other, id="", body=body, headers=headers, signature=(signature, "hex"))


def viber():
    secret, other, at, token, user = word(), word(), int(time.time() * 1000), secrets.randbelow(2**62), encoded(secrets.token_bytes(16))
    # Only what became of a message names the reader.
    more, tail = pick([({"user_id": user}, f":{user}:{at}"), ({}, "")])
    body = document({"event": "delivered", "timestamp": at, "message_token": token, **more})
    library = ViberApi(BotConfiguration(name="n", avatar="https://example.com/", auth_token=secret))
    signature = hmac.digest(secret.encode(), body.encode(), hashlib.sha256).hex()
    accepts(body, lambda body: library.verify_signature(body.encode(), signature))
    headers = {"X-Viber-Content-Signature": signature}
    identity = f"delivered:{token}{tail}"
    return dict(secret=secret, other=other, id=identity, body=body, headers=headers, signature=(signature, "hex"))


SHARED_KEY = {"X-Twilio-Webhooks-Signature-Settings": "key=webhooks_sharedkey_0001,algorithm=HMAC_SHA256"}
# By provider: the package, what it does, and how a request is made.
VENDORS = {
    "standard-webhooks": ("standardwebhooks", "signs", lambda: standard(standardwebhooks.Webhook, "webhook")),
    "svix": ("svix", "signs", lambda: standard(svix.webhooks.Webhook, "svix")),
    "slack": ("slack_sdk", "signs", slack),
    "twilio": ("twilio", "signs", lambda: twilio("HMAC_SHA1", {})),
    "twilio-shared-key": ("twilio", "signs", lambda: twilio("HMAC_SHA256", SHARED_KEY)),
    "square": ("squareup", "accepts", square),
    "sendgrid": ("sendgrid", "accepts", sendgrid),
    "discord": ("discord-interactions", "accepts", discord),
    "increase": ("increase", "accepts", increase_events),
    "line": ("line-bot-sdk", "accepts", line),
    "mollie": ("mollie-api-py", "signs", mollie),
    "pusher": ("pusher", "accepts", pusher_channels),
    "viber": ("viberbot", "accepts", viber),
}


def write(folder, name, provider, sdk, part, request):
    """Writes one request: the bytes as they would come over the wire, and beside them what crosscheck.py has to know."""
    url = request.get("url")
    target = urllib.parse.urlsplit(url or f"https://hooks.example.com/hooks/{provider}")
    body = request["body"].encode()
    headers = {"Host": target.netloc, "Content-Type": request.get("type", "application/json"), **request["headers"]}
    fields = "".join(f"{name}: {value}\r\n" for name, value in {**headers, "Content-Length": len(body)}.items())
    query = f"?{target.query}" if target.query else ""
    (folder / f"{name}.http").write_bytes(f"POST {target.path}{query} HTTP/1.1\r\n{fields}\r\n".encode() + body)
    signature, encoding = request["signature"]
    known = dict(provider=provider, sdk=sdk, part=part, at=int(time.time()), secret=request["secret"], other_secret=request["other"])
    known |= dict(url=url, other_url=request.get("other_url"))
    known |= dict(event_id=request["id"], signature=signature, encoding=encoding, body_counts=True)
    (folder / f"{name}.json").write_text(json.dumps(known), encoding="utf-8")


def main():
    folder, rounds, *only = sys.argv[1:]
    wanted = ",".join(only).split(",") if ",".join(only) else list(VENDORS)
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for provider, (package, part, make) in VENDORS.items():
        for number in range(int(rounds) if provider in wanted else 0):
            try:
                write(folder, f"{provider}.pypi.{number}", provider, f"{package} {version(package)} (PyPI)", part, make())
            except Exception as error:
                raise SystemExit(f"{provider}: {error!r}") from error


main()
