"""The Teams app: a manifest, two icons and words in two languages, in one zip.

Schema: Microsoft Teams app manifest 1.19. The bot asks for no permission but to
know who writes to it, and no shared channels: there, people of other
organisations would be members.
"""

from __future__ import annotations

import io
import json
import zipfile
from importlib import resources
from typing import Any, Final

from countersign import __version__

SCHEMA: Final = (
    "https://developer.microsoft.com/en-us/json-schemas/teams/v1.19/MicrosoftTeams.schema.json"
)
_WORDS: Final = {
    "en": {
        "short": "Decide on what agents ask to do.",
        "full": "Countersign brings you what an AI agent asks to do, with personal data and secrets"
        " masked, and takes your decision: approve, deny, or ask for more.",
        "pending": "What waits for you",
        "history": "What became of it",
        "whoami": "How you are known here",
        "help": "What this bot does",
    },
    "de": {
        "short": "Entscheiden, was Agenten tun dürfen.",
        "full": "Countersign zeigt, was ein KI-Agent tun will, personenbezogene Daten und"
        " Geheimnisse verdeckt, und nimmt Ihre Entscheidung an: zustimmen, ablehnen, nachfragen.",
        "pending": "Was auf Sie wartet",
        "history": "Was daraus wurde",
        "whoami": "Wie Sie hier bekannt sind",
        "help": "Was dieser Bot tut",
    },
}
_COMMANDS: Final = ("pending", "history", "whoami", "help")
_STAMP: Final = (1980, 1, 1, 0, 0, 0)


def package(*, app_id: str, name: str, developer: str, website: str) -> bytes:
    """The zip that is uploaded to Teams; the same bytes for the same words.

    `website` is an https address; privacy and terms are looked for below it.
    """
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for file, content in _files(app_id, name, developer, website).items():
            entry = zipfile.ZipInfo(file, _STAMP)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content)
    return data.getvalue()


def _files(app_id: str, name: str, developer: str, website: str) -> dict[str, bytes]:
    icons = resources.files(__name__)
    return {
        "manifest.json": _json(_manifest(app_id, name, developer, website.rstrip("/"))),
        "de.json": _json(_localized("de", name)),
        "color.png": icons.joinpath("color.png").read_bytes(),
        "outline.png": icons.joinpath("outline.png").read_bytes(),
    }


def _manifest(app_id: str, name: str, developer: str, website: str) -> dict[str, Any]:
    words = _WORDS["en"]
    commands = [{"title": each, "description": words[each]} for each in _COMMANDS]
    return {
        "$schema": SCHEMA,
        "manifestVersion": "1.19",
        "version": __version__,
        "id": app_id,
        "developer": {
            "name": developer,
            "websiteUrl": website,
            "privacyUrl": f"{website}/privacy",
            "termsOfUseUrl": f"{website}/terms",
        },
        "name": {"short": name, "full": name},
        "description": {"short": words["short"], "full": words["full"]},
        "icons": {"color": "color.png", "outline": "outline.png"},
        "accentColor": "#1F3A5F",
        "localizationInfo": {
            "defaultLanguageTag": "en",
            "additionalLanguages": [{"languageTag": "de", "file": "de.json"}],
        },
        "bots": [
            {
                "botId": app_id,
                "scopes": ["personal", "team", "groupChat"],
                "isNotificationOnly": False,
                "supportsFiles": False,
                "commandLists": [
                    {"scopes": ["personal"], "commands": commands},
                    {
                        "scopes": ["team", "groupChat"],
                        "commands": [commands[_COMMANDS.index("whoami")]],
                    },
                ],
            }
        ],
        "permissions": ["identity"],
        "validDomains": [],
    }


def _localized(language: str, name: str) -> dict[str, Any]:
    words = _WORDS[language]
    return {
        "$schema": "https://developer.microsoft.com/en-us/json-schemas/teams/v1.19/"
        "MicrosoftTeams.Localization.schema.json",
        "name.short": name,
        "name.full": name,
        "description.short": words["short"],
        "description.full": words["full"],
        **{
            f"bots[0].commandLists[0].commands[{number}].description": words[each]
            for number, each in enumerate(_COMMANDS)
        },
        "bots[0].commandLists[1].commands[0].description": words["whoami"],
    }


def _json(value: dict[str, Any]) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()
