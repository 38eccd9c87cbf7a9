"""Numbers that states give, known by their form and their check digits."""

from __future__ import annotations

from typing import Final

from countersign.sanitize import identity, kinds, lettered, national
from countersign.sanitize.rules.rule import Rule

RULES: Final = (
    Rule(
        id="national.number",
        kind=kinds.GOVERNMENT_ID,
        pattern=r"\b[0-9]{11,18}\b",
        check=identity.plain_number,
    ),
    Rule(
        id="national.number.x",
        kind=kinds.GOVERNMENT_ID,
        pattern=r"\b[0-9]{17}[Xx]\b",
        check=identity.plain_number,
    ),
    Rule(
        id="national.grouped",
        kind=kinds.GOVERNMENT_ID,
        pattern=rf"\b(?:{identity.GROUPED})\b",
        check=identity.grouped_number,
    ),
    Rule(
        id="itin",
        kind=kinds.GOVERNMENT_ID,
        pattern=r"\b9[0-9]{2}[\- ](?:5[0-9]|6[0-5]|[78][0-9]|9[0-24-9])[\- ][0-9]{4}\b",
    ),
    Rule(
        id="medicare.us",
        kind=kinds.GOVERNMENT_ID,
        pattern=r"(?i)\b[1-9][AC-HJKMNP-RT-Y][0-9AC-HJKMNP-RT-Y][0-9]-?[AC-HJKMNP-RT-Y]"
        r"[0-9AC-HJKMNP-RT-Y][0-9]-?[AC-HJKMNP-RT-Y]{2}[0-9]{2}\b",
    ),
    Rule(
        id="nino",
        kind=kinds.GOVERNMENT_ID,
        pattern=r"(?i)\b[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?[0-9]{2}[ -]?[0-9]{2}[ -]?[0-9]{2}"
        r"[ -]?[A-D]\b",
    ),
    Rule(
        id="driving_licence.uk",
        kind=kinds.GOVERNMENT_ID,
        pattern=r"\b[A-Z][A-Z9]{4}[0-9][0156][0-9][0-3][0-9][0-9][A-Z9]{2}[0-9][A-Z]{2}\b",
    ),
    Rule(
        id="dni",
        kind=kinds.GOVERNMENT_ID,
        pattern=r"(?i)\b(?:[0-9]{8}|[XYZ]-?[0-9]{7})[- ]?[A-HJ-NP-TV-Z]\b",
        check=identity.whole(lettered.dni),
    ),
    Rule(
        id="codice_fiscale",
        kind=kinds.GOVERNMENT_ID,
        pattern=r"(?i)\b[A-Z]{6}[0-9LMNP-V]{2}[A-EHLMPRST][0-9LMNP-V]{2}[A-Z][0-9LMNP-V]{3}[A-Z]\b",
        check=identity.whole(lettered.codice_fiscale),
    ),
    Rule(
        id="nir.corsica",
        kind=kinds.GOVERNMENT_ID,
        pattern=r"(?i)\b[12] ?[0-9]{2} ?[0-9]{2} ?2[AB] ?[0-9]{3} ?[0-9]{3} ?[0-9]{2}\b",
        check=identity.whole(national.nir),
    ),
    Rule(
        id="hetu",
        kind=kinds.GOVERNMENT_ID,
        pattern=r"(?i)\b[0-9]{6}[-+A-FU-Y][0-9]{3}[0-9A-FHJ-NPR-Y]\b",
        check=identity.finnish,
    ),
    Rule(
        id="pan.india",
        kind=kinds.GOVERNMENT_ID,
        pattern=r"\b[A-Z]{3}[ABCFGHJLPT][A-Z][0-9]{4}[A-Z]\b",
    ),
    Rule(
        id="nric",
        kind=kinds.GOVERNMENT_ID,
        pattern=r"(?i)\b[STFGM][0-9]{7}[A-Z]\b",
        check=identity.whole(lettered.nric),
    ),
    Rule(
        id="hkid",
        kind=kinds.GOVERNMENT_ID,
        pattern=r"(?i)\b([A-Z]{1,2}[0-9]{6} ?\([0-9A]\))",
        check=identity.whole(lettered.hkid),
    ),
    Rule(
        id="curp",
        kind=kinds.GOVERNMENT_ID,
        pattern=r"(?i)\b[A-Z]{4}[0-9]{6}[HMX][A-Z]{5}[0-9A-Z][0-9]\b",
        check=identity.whole(lettered.curp),
    ),
    Rule(
        id="pps",
        kind=kinds.GOVERNMENT_ID,
        pattern=r"(?i)(?:^|[^0-9A-Za-z-])([0-9]{7}[A-W][A-IW]?)(?:[^0-9A-Za-z-]|$)",  # no UUID
        check=identity.whole(lettered.pps),
        again=True,
    ),
    Rule(
        id="personalausweis",
        kind=kinds.GOVERNMENT_ID,
        pattern=r"\b[CFGHJKLMNPRTVWXYZ][0-9CFGHJKLMNPRTVWXYZ]{8}[0-9]\b",
        check=identity.german_card,
    ),
    Rule(
        id="vin",
        kind=kinds.VEHICLE,
        pattern=r"\b[A-HJ-NPR-Z0-9]{17}\b",
        check=identity.whole(lettered.vin),
    ),
    Rule(
        id="bitcoin",
        kind=kinds.WALLET,
        pattern=r"\b[13][1-9A-HJ-NP-Za-km-z]{25,34}\b",
        check=identity.whole(lettered.base58check),
    ),
    Rule(
        id="bitcoin.bech32",
        kind=kinds.WALLET,
        pattern=r"(?i)\b(?:bc|tb)1[02-9ac-hj-np-z]{11,71}\b",
        check=identity.whole(lettered.bech32),
    ),
    Rule(id="ethereum", kind=kinds.WALLET, pattern=r"\b0[xX][0-9a-fA-F]{40}\b"),
    Rule(
        id="windows.sid",
        kind=kinds.USER_ID,
        pattern=r"\bS-1-5-21-[0-9]{1,10}-[0-9]{1,10}-[0-9]{1,10}-[0-9]{1,10}\b",
    ),
)
