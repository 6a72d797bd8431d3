"""Secrets: find text that looks like a credential before it is committed.

A value that was pushed remains in the history of every clone, so values are checked before an edit
is made. The rules are from detect-secrets (Yelp, Apache-2.0), and this module adds a few more. Only
rules that describe the form of one kind of credential are used. The rules of detect-secrets for
entropy and for variable names are left out, since agents often write hashes, ids and sentences
about passwords.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pkgutil import resolve_name
from typing import Final, Protocol

from csc_git.core.key import Key
from csc_git.core.value import Json, canonical
from csc_git.errors import LooksLikeSecret

_LACKING: Final = {
    # https://github.blog/security/application-security/introducing-fine-grained-personal-access-tokens-for-github/
    "GitHub Fine-Grained Token": re.compile(
        r"github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}"
    ),
    "Anthropic API Key": re.compile(
        r"sk-ant-[a-z]+[0-9]{2}-[A-Za-z0-9_-]{80,}"
    ),
    # https://github.blog/changelog/2021-09-23-npm-has-a-new-access-token-format/
    "NPM Token": re.compile(r"\bnpm_[A-Za-z0-9]{36}\b"),
    "Google API Key": re.compile(r"\bAIza[A-Za-z0-9_-]{35}"),
}

# https://www.rfc-editor.org/rfc/rfc7515#section-7.1
# A token can be longer than `_WINDOW`, so it is searched for in the whole line.
_WEB_TOKEN: Final = re.compile(
    r"(?<![\w-])eyJ[\w-]{10,}\.eyJ[\w-]{2,}\.[\w-]{20,}",
    re.ASCII,
)

_RULES: Final = (
    "artifactory:ArtifactoryDetector",
    "aws:AWSKeyDetector",
    "azure_storage_key:AzureStorageKeyDetector",
    "basic_auth:BasicAuthDetector",
    "cloudant:CloudantDetector",
    "discord:DiscordBotTokenDetector",
    "github_token:GitHubTokenDetector",
    "gitlab_token:GitLabTokenDetector",
    "ibm_cloud_iam:IbmCloudIamDetector",
    "ibm_cos_hmac:IbmCosHmacDetector",
    "jwt:JwtTokenDetector",
    "mailchimp:MailchimpDetector",
    "npm:NpmDetector",
    "openai:OpenAIDetector",
    "private_key:PrivateKeyDetector",
    "pypi_token:PypiTokenDetector",
    "sendgrid:SendGridDetector",
    "slack:SlackDetector",
    "softlayer:SoftlayerDetector",
    "square_oauth:SquareOAuthDetector",
    "stripe:StripeDetector",
    "telegram_token:TelegramBotTokenDetector",
    "twilio:TwilioKeyDetector",
)

_LONGEST_NOTE: Final = 500
_WINDOW: Final = 1024
"""Lines are checked in pieces of this many characters. Without this limit, an attacker could write
a line for which a rule needs quadratic time."""

_OVERLAP: Final = 256
"""Two neighbouring pieces overlap by this many characters, so that no credential is cut in two."""


class _Rule(Protocol):
    """A rule of detect-secrets.

    Attributes:
        secret_type: The kind of credential that the rule finds.
    """

    secret_type: str

    def analyze_string(self, string: str) -> Iterator[str]:
        """Yield the secrets in a line."""


def find_secret(
    key: Key,
    value: Json,
) -> str | None:
    """Return the kind of credential that a key or its value seems to contain.

    The value is checked line by line in its canonical form. In that form, a member's name and text
    are on the same line, and some rules need both.

    Args:
        key: The key, which is checked too.
        value: The value.

    Returns:
        The kind of credential; None if nothing looks like a credential.
    """
    written = canonical(value).decode()
    text = f'"{key}": {written}'
    unescaped = text.replace("\\n", "\n").replace('\\"', '"')
    return _kind_of_lines(unescaped)


def screen(
    puts: Mapping[Key, Json],
    reason: str | None,
) -> str | None:
    """Refuse values that seem to contain a credential, unless there is a reason to store them.

    Args:
        puts: The values to be stored, by key.
        reason: Why the values are safe to store although they look like credentials; None or empty
            if no reason was given.

    Returns:
        A text for the commit message, with the kinds of credentials and the reason. None if nothing
        looks like a credential.

    Raises:
        LooksLikeSecret: a value looks like a credential and no reason was given, or the reason
            looks like a credential.
    """
    found: list[str] = []
    for key, value in puts.items():
        kind = find_secret(key, value)
        if kind is not None:
            found.append(f"{kind} in {key}")
    if reason is not None:
        screen_names([reason])
    if not found:
        return None
    where = ", ".join(found)
    words = (reason or "").split()
    if not words:
        raise LooksLikeSecret(f"This looks like a credential: {where}")
    on_one_line = " ".join(words)
    note = f"{where}; allowed: {on_one_line}"
    return note[:_LONGEST_NOTE]


def screen_names(texts: Iterable[str]) -> None:
    """Refuse a credential in a name or a reason, since commits contain names and reasons.

    Args:
        texts: Names of sessions, scopes and keys, and reasons that were given.

    Raises:
        LooksLikeSecret: a text seems to contain a credential. The error does not repeat the text.
    """
    for text in texts:
        kind = _kind_of_lines(text)
        if kind is not None:
            raise LooksLikeSecret(
                f"A name or reason looks like a credential ({kind})",
                then="Use another name or reason, without the secret itself",
            )


def _kind_of_lines(text: str) -> str | None:
    """Return the kind of the first credential in a text; None if there is no credential."""
    kinds = map(_kind_of_line, text.splitlines())
    return next(filter(None, kinds), None)


def _kind_of_line(line: str) -> str | None:
    if _WEB_TOKEN.search(line):
        return "JSON Web Token"
    kinds = map(_kind_of_piece, _pieces(line))
    return next(filter(None, kinds), None)


def _kind_of_piece(text: str) -> str | None:
    for kind, pattern in _LACKING.items():
        if pattern.search(text):
            return kind
    for rule in _rules():
        if any(rule.analyze_string(text)):
            return rule.secret_type
    return None


def _pieces(line: str) -> Iterator[str]:
    """Cut a line into overlapping pieces; an empty line is one empty piece."""
    end = max(1, len(line) - _OVERLAP)
    step = _WINDOW - _OVERLAP
    for start in range(0, end, step):
        yield line[start : start + _WINDOW]


@cache
def _rules() -> tuple[_Rule, ...]:
    """Load the rules of detect-secrets. Loading takes a while, so it is done at the first write."""
    classes = [
        resolve_name(f"detect_secrets.plugins.{rule}") for rule in _RULES
    ]
    return tuple(rule_class() for rule_class in classes)
