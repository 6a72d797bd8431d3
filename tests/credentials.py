"""Credentials and harmless text, and how much of each is refused: `python -m tests.credentials`.

The true ones are made here, from random characters: a list of them would be refused by hosts
that scan what is pushed.
"""

import base64
import json
import random
import string
from typing import Any

from csc_git.core.key import parse_key
from csc_git.core.secret import find_secret

AWS_KEY_ID = "AKIAIOSFODNN7EXAMPLA"
GITHUB_TOKEN = "ghp_" + "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7cF0hJ2kL5"
_CHANCE = random.Random(11)  # noqa: S311
_WORDS = string.ascii_letters + string.digits
_HEX = string.digits + "abcdef"


def _some(length: int, of: str = _WORDS) -> str:
    return "".join(_CHANCE.choices(of, k=length))


def _jwt() -> str:
    parts = [
        {"alg": "HS256", "typ": "JWT"},
        {"sub": _some(10), "iat": 1516239022},
    ]
    texts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode()
        for part in parts
    ]
    return ".".join([text.rstrip("=") for text in texts] + [_some(43)])


def _tokens() -> dict[str, str]:
    """One credential of each kind."""
    upper = string.ascii_uppercase + string.digits
    return {
        "GitHub classic": "ghp_" + _some(36),
        "GitHub app": "ghs_" + _some(36),
        "GitHub fine-grained": f"github_pat_{_some(22)}_{_some(59)}",
        "GitLab": "glpat-" + _some(20),
        "Anthropic": f"sk-ant-api03-{_some(93)}AA",
        "OpenAI": f"sk-{_some(20)}T3BlbkFJ{_some(20)}",
        "OpenAI project": f"sk-proj-{_some(20)}T3BlbkFJ{_some(20)}",
        "npm": "npm_" + _some(36),
        "PyPI": "pypi-AgEIcHlwaS5vcmc" + _some(80),
        "AWS key id": "AKIA" + _some(16, upper),
        "Google API": "AIza" + _some(35),
        "Slack bot": f"xoxb-{_some(12, string.digits)}-{_some(12, string.digits)}-{_some(24)}",
        "Stripe": "sk_live_" + _some(24),
        "SendGrid": f"SG.{_some(22)}.{_some(43)}",
        "Twilio": "SK" + _some(32, _HEX),
        "Telegram": f"{_some(10, string.digits)}:{_some(35)}",
        "Mailchimp": f"{_some(32, _HEX)}-us12",
        "Square": "sq0csp-" + _some(43),
        "JWT": _jwt(),
        "private key": "-----BEGIN OPENSSH PRIVATE KEY-----\n"
        + _some(70)
        + "\n"
        + _some(70),
        "RSA private key": "-----BEGIN RSA PRIVATE KEY-----\n" + _some(64),
        "URL with password": f"postgres://app:{_some(16)}@db.example.com:5432/app",
        "git URL with token": f"https://ada:{_some(20)}@git.example.com/a/b.git",
        "npmrc": "//registry.npmjs.org/:_authToken=npm_" + _some(36),
        "Azure storage": "AccountKey=" + _some(86) + "==",
    }


def true_cases() -> list[tuple[str, Any]]:
    """Each kind of credential: alone, in a sentence, in an object, and in the middle of a log."""
    found: list[tuple[str, Any]] = []
    for kind, token in _tokens().items():
        found += [
            (kind, token),
            (kind, f"use {token} to log in, ask ada if it stops working"),
            (kind, {"env": [{"name": "TOKEN", "value": token}]}),
            (kind, "line one\n" * 30 + token + "\nlast line"),
        ]
    secret = _some(40, _WORDS + "/+")
    found.append(("AWS secret", {"aws_secret_access_key": secret}))
    found.append(("AWS secret", f'aws_secret_key = "{secret}"'))
    return found


def blind_spots() -> list[tuple[str, Any]]:
    """Secrets without a form of their own, which no rule can recognise."""
    return [
        ("password by name", {"password": "correct horse battery"}),
        ("password in a sentence", "the staging password is hunter2"),
        ("bare hex", _some(64, _HEX)),
        ("own token format", "acme-" + _some(24)),
    ]


def false_cases() -> list[Any]:
    """Values as agents write them, many of which look random."""
    return [
        {"status": "in progress", "owner": "claude_1@laptop", "todos": ["parser", "tests"]},
        {"revision": _some(40, _HEX), "op": _some(32, _HEX), "cursor": f"{_some(40, _HEX)}.3"},
        {"sha256": _some(64, _HEX), "digest": f"sha256:{_some(64, _HEX)}"},
        {"integrity": f"sha512-{base64.b64encode(_some(64).encode()).decode()}"},
        {"id": "3f2504e0-4f89-11d3-9a0c-0305e82c3301", "trace": _some(32, _HEX)},
        "Rotate the GitHub token before Friday; it stands in the vault under ci/github.",
        "GITHUB_TOKEN must be set; do not commit it. See docs/secrets.md.",
        {"env": {"OPENAI_API_KEY": "$OPENAI_API_KEY", "NPM_TOKEN": "${NPM_TOKEN}"}},
        {"password": "see vault", "api_key": "<redacted>", "token": None},
        {"aws_secret_access_key": "from the instance profile", "region": "eu-central-1"},
        "git clone git@github.com:acme/widgets.git && cd widgets && make test",
        "https://github.com/acme/widgets/pull/1234#discussion_r1234567890",
        "http://localhost:8080/api/v1/users?limit=10&sort=name",
        "https://user@example.com/path and ssh://git@example.com:2222/a/b.git",
        "postgres://localhost:5432/app without a password",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA" + _some(44) + " ada@laptop",
        "-----BEGIN PUBLIC KEY-----\n" + _some(64) + "\n-----END PUBLIC KEY-----",
        "-----BEGIN CERTIFICATE-----\n" + _some(64),
        "data:image/png;base64," + base64.b64encode(_some(200).encode()).decode(),
        {"commit": _some(40, _HEX), "author": "ada@example.com", "time": "2026-11-22T18:05:11Z"},
        "def test_token(): assert parse('sk-test') == Token('sk-test')",
        "sk-learn is spelt scikit-learn; the skeleton lives in src/sk-core/",
        "npm_config_registry=https://registry.npmjs.org npm_lifecycle_event=test",
        "pypi-publish is the job that failed, see actions/runs/1234567890",
        "eyJ is how base64 of JSON begins; eyJ.abc.def is no token",
        "The AKIA prefix marks key ids, ghp_ and github_pat_ mark tokens.",
        "AIza-style keys are Google's. xoxb- tokens are Slack's. SG. is SendGrid's.",
        {"order": "1234567890:15", "ratio": "16:9", "time": "12:30:45"},
        {"minified": "!function(e,t){" + _some(400) + "}(this,function(){})"},
        {"keys": [_some(20) for _ in range(20)]},
        {"paths": ["src/secrets/vault.py", "tests/test_password.py", "config/aws.yaml"]},
        [[_some(8), index] for index in range(50)],
        {"error": "401 Unauthorized: Bad credentials", "www-authenticate": 'Basic realm="git"'},
        {"headers": {"Authorization": "Bearer <token>"}},
        "password: ********, secret: [filtered], api_key: (hidden)",
        {"resolved": "https://registry.npmjs.org/left-pad/-/left-pad-1.3.0.tgz#" + _some(40, _HEX)},
        "Schlüssel, 鍵, 🔑: the key to this is in the tests",
        "x" * 5000,
        {"uuid": ["-".join(_some(n, _HEX) for n in (8, 4, 4, 4, 12)) for _ in range(10)]},
        "cherry-pick -x " + _some(7, _HEX) + ".." + _some(7, _HEX),
    ]  # fmt: skip


def main() -> None:
    """Print both rates, and every case with the wrong result."""
    key = parse_key("note", "k")
    true, false, blind = true_cases(), false_cases(), blind_spots()
    missed = [kind for kind, value in true if find_secret(key, value) is None]
    wrong = [
        (find_secret(key, value), value)
        for value in false
        if find_secret(key, value)
    ]
    seen = [kind for kind, value in blind if find_secret(key, value)]
    print(f"credentials refused: {len(true) - len(missed)} of {len(true)}")
    print(f"other text refused:  {len(wrong)} of {len(false)}")
    print(f"without a form of their own, refused: {len(seen)} of {len(blind)}")
    for kind in sorted(set(missed)):
        print(f"missed: {kind}, {missed.count(kind)} times")
    for rule, value in wrong:
        print(f"refused as {rule}: {json.dumps(value)[:100]}")


if __name__ == "__main__":
    main()
