"""Secrets: what looks like a credential, before it is committed.

What is pushed stays in the history of every clone, so this is asked before an edit is made. The
rules are those of detect-secrets (Yelp, Apache-2.0) that know the form of one kind of credential,
and a few it lacks. Its rules by entropy and by variable names are left out: agents write hashes,
ids and sentences about passwords all day.
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

# https://www.rfc-editor.org/rfc/rfc7515#section-7.1; they are longer than any piece of a line
_WEB_TOKEN: Final = re.compile(
    r"(?<![\w-])eyJ[\w-]{10,}\.eyJ[\w-]{2,}\.[\w-]{20,}", re.ASCII
)

_RULES: Final = (
    "artifactory:ArtifactoryDetector", "aws:AWSKeyDetector",
    "azure_storage_key:AzureStorageKeyDetector", "basic_auth:BasicAuthDetector",
    "cloudant:CloudantDetector", "discord:DiscordBotTokenDetector",
    "github_token:GitHubTokenDetector", "gitlab_token:GitLabTokenDetector",
    "ibm_cloud_iam:IbmCloudIamDetector", "ibm_cos_hmac:IbmCosHmacDetector",
    "jwt:JwtTokenDetector", "mailchimp:MailchimpDetector", "npm:NpmDetector",
    "openai:OpenAIDetector", "private_key:PrivateKeyDetector", "pypi_token:PypiTokenDetector",
    "sendgrid:SendGridDetector", "slack:SlackDetector", "softlayer:SoftlayerDetector",
    "square_oauth:SquareOAuthDetector", "stripe:StripeDetector",
    "telegram_token:TelegramBotTokenDetector", "twilio:TwilioKeyDetector",
)  # fmt: skip

_LONGEST_NOTE: Final = 500
_WINDOW: Final = 1024
_OVERLAP: Final = 256
"""Some rules take quadratic time on a line that is made for it, so they see it in pieces."""


class _Rule(Protocol):
    secret_type: str

    def analyze_string(self, string: str) -> Iterator[str]:
        """The secrets in a line."""


def find_secret(key: Key, value: Json) -> str | None:
    """Which kind of credential a key or its value seems to hold; None if none.

    A value is looked at line by line in its canonical form, where a member's name stands in one
    line with its text: some rules need both.
    """
    text = f'"{key}": {canonical(value).decode()}'
    lines = text.replace("\\n", "\n").replace('\\"', '"').splitlines()
    return next(filter(None, map(_kind_of_line, lines)), None)


def screen(puts: Mapping[Key, Json], reason: str | None) -> str | None:
    """Refuse values that seem to hold a credential, unless there is a reason to store them.

    Args:
        puts: What is to be stored.
        reason: Why it is not a secret, or why everybody may know it.

    Returns:
        The text for the commit; None if nothing looked like one.

    Raises:
        LooksLikeSecret: something did, and there is no reason; or the reason itself does.
    """
    kinds = {
        key: kind
        for key, value in puts.items()
        if (kind := find_secret(key, value))
    }
    if reason is not None:
        screen_names([reason])
    if not kinds:
        return None
    where = ", ".join(f"{kind} in {key}" for key, kind in kinds.items())
    if not (reason or "").strip():
        raise LooksLikeSecret(f"This looks like a credential: {where}")
    return f"{where}; allowed: {' '.join(str(reason).split())}"[:_LONGEST_NOTE]


def screen_names(texts: Iterable[str]) -> None:
    """Refuse names and reasons that seem to hold a credential: commits carry them.

    Args:
        texts: Names of sessions, scopes and keys, and what people give as reasons.

    Raises:
        LooksLikeSecret: one does. The error does not repeat it.
    """
    for text in texts:
        kind = next(filter(None, map(_kind_of_line, text.splitlines())), None)
        if kind is not None:
            raise LooksLikeSecret(
                f"A name or reason looks like a credential ({kind})",
                then="Use another name, and say where the secret is kept instead of what it is",
            )


def _kind_of_line(line: str) -> str | None:
    if _WEB_TOKEN.search(line):
        return "JSON Web Token"
    return next(filter(None, map(_kind, _pieces(line))), None)


def _kind(text: str) -> str | None:
    lacking = (
        kind for kind, pattern in _LACKING.items() if pattern.search(text)
    )
    known = (
        rule.secret_type for rule in _rules() if any(rule.analyze_string(text))
    )
    return next(lacking, None) or next(known, None)


def _pieces(line: str) -> Iterator[str]:
    for start in range(0, max(1, len(line) - _OVERLAP), _WINDOW - _OVERLAP):
        yield line[start : start + _WINDOW]


@cache
def _rules() -> tuple[_Rule, ...]:
    """detect-secrets' rules; loaded with the first write, since that takes a while."""
    return tuple(
        resolve_name(f"detect_secrets.plugins.{rule}")() for rule in _RULES
    )
