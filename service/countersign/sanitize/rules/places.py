"""Postal addresses, by how streets and towns are written in several languages."""

from __future__ import annotations

from typing import Final

from countersign.sanitize import kinds
from countersign.sanitize.rules.rule import Rule

_CAP: Final = r"[A-Z\x{c0}-\x{de}\x{100}-\x{17d}][\p{L}'\x{2019}.-]*"
_SMALL: Final = (
    r"(?:d[aeiou]s? |du |des |de la |de l[oa]s |l[ae]s? |(?:d|l|dell)['\x{2019}]|delle |della "
    r"|van |von |den |der |of )"
)
_TOWN: Final = (
    rf"(?:,? (?:[A-Z]{{1,2}}-)?[0-9]{{4,5}}(?:-[0-9]{{3}})?(?: [A-Z]{{2}})?,? {_CAP}(?: {_CAP})?)?"
)
_STATES: Final = (
    "A[KLRZ]|C[AOT]|D[CE]|FL|GA|HI|I[ADLN]|K[SY]|LA|M[ADEINOST]|N[CDEHJMVY]|O[HKR]|PA|RI|S[CD]|T[NX]|UT"
    "|V[AT]|W[AIVY]"
)
_US_TOWN: Final = (
    rf"(?:,? (?:{_CAP} ){{0,2}}{_CAP},? (?:{_STATES})(?: [0-9]{{5}}(?:-[0-9]{{4}})?)?)?"
)
_UK_TOWN: Final = rf"(?:,? {_CAP}(?: {_CAP}){{0,2}},? [A-Z]{{1,2}}[0-9][0-9A-Z]? [0-9][A-Z]{{2}}\b)"
_ENGLISH: Final = (
    "Street|St|Avenue|Ave|Road|Rd|Boulevard|Blvd|Lane|Ln|Drive|Dr|Court|Ct|Way|Place|Pl|Square|Sq|Terrace"
    "|Close|Crescent|Parkway|Pkwy|Highway|Hwy|Row|Gardens|Grove|Mews|Circle|Cir|Trail"
)

RULES: Final = (
    Rule(
        id="address.english",
        kind=kinds.ADDRESS,
        pattern=rf"\b[0-9]{{1,5}}[A-Za-z]?(?:[-/][0-9]{{1,4}})?,? (?:[NSEW]{{1,2}}\.? )?"
        rf"(?:(?:{_CAP}|[0-9]{{1,3}}(?:st|nd|rd|th)) ){{1,3}}(?:{_ENGLISH})\b\.?"
        r"(?:,? (?:Apt|Apartment|Suite|Ste|Unit|Flat|Floor|#)\.? ?[0-9A-Z-]{1,6})?"
        rf"(?:{_UK_TOWN}|{_US_TOWN})",
    ),
    Rule(
        id="address.german",
        kind=kinds.ADDRESS,
        pattern=r"(?:\b[\p{Lu}][\p{L}.-]*[ -]){0,2}(?:[\p{Lu}]?[\p{L}.-]{2,}(?:straße|strasse"
        r"|str\.|weg|platz"
        r"|allee|gasse|damm|ufer|straat|laan|plein|gracht|kade|dijk|gatan|vägen|gata|veien|vegen"
        r"|vej|gade"
        r"|katu|stråket)|\b(?:Straße|Strasse|Str\.|Weg|Platz|Allee|Ring)"
        rf"|\b(?:Unter den|An der|Auf der|Am|Zum) {_CAP})"
        rf" [0-9]{{1,4}}(?:[ -]?[a-zA-Z]\b)?{_TOWN}",
    ),
    Rule(
        id="address.romance",
        kind=kinds.ADDRESS,
        pattern=r"\b(?:Calle|C/|Avenida|Avda\.?|Av\.|Plaza|Paseo|Carrer|Camino|Via|Viale|Piazza"
        r"|Corso|Largo"
        r"|Vicolo|Rua|R\.|Travessa|Praça|ul\.|al\.|ulica|aleja|os\.)"
        rf" ?{_SMALL}{{0,2}}(?:{_CAP} ?{_SMALL}{{0,2}}){{1,4}},? ?(?:n[º°o.]{{1,2}} ?)?"
        rf"[0-9]{{1,4}}[A-Za-z]?"
        rf"(?:/[0-9]{{1,4}})?{_TOWN}",
    ),
    Rule(
        id="address.french",
        kind=kinds.ADDRESS,
        pattern=r"(?i)\b[0-9]{1,4}(?: ?(?:bis|ter|[a-d]))?,? (?:rue|avenue|boulevard|bd|place"
        r"|chemin|all(?:é|e)e"
        rf"|impasse|quai|cours) {_SMALL}{{0,2}}(?-i:{_CAP})"
        rf"(?:[ -](?-i:{_CAP})){{0,3}}(?-i:{_TOWN})",
    ),
    Rule(
        id="address.box",
        kind=kinds.ADDRESS,
        pattern=r"(?i)\b(?:p\.? ?o\.? ?box|post office box|postfach|postbus|bo(?:î|i)te postale"
        r"|apartado(?: de correos| postal)?"
        r"|casella postale|caixa postal|boks|postboks)\s{0,2}(?:n[o.º°]{0,2} ?)?[0-9][0-9 ]{0,7}\b",
    ),
    Rule(
        id="address.postcode.uk",
        kind=kinds.ADDRESS,
        pattern=r"\b(?:[A-PR-UWYZ][A-HK-Y]?[0-9][0-9A-HJKMNPR-Y]?|GIR) [0-9][ABD-HJLNP-UW-Z]{2}\b",
    ),
    Rule(
        id="address.postcode.canada",
        kind=kinds.ADDRESS,
        pattern=r"\b[ABCEGHJ-NPRSTVXY][0-9][ABCEGHJ-NPRSTV-Z] [0-9][ABCEGHJ-NPRSTV-Z][0-9]\b",
    ),
    Rule(
        id="address.town.us",
        kind=kinds.ADDRESS,
        pattern=rf"\b{_CAP}(?: {_CAP}){{0,2}}, (?:{_STATES}) [0-9]{{5}}(?:-[0-9]{{4}})?\b",
    ),
    Rule(
        id="address.town",
        kind=kinds.ADDRESS,
        pattern=rf"(?:\b[A-Z]{{1,2}}-[0-9]{{4,5}}|[,\n] ?[0-9]{{5}}"
        rf"|\b[1-9][0-9]{{3}} [A-Z]{{2}}) ({_CAP})\b",
    ),
    Rule(
        id="address.mentioned",
        kind=kinds.ADDRESS,
        pattern=r"(?i)\b(?:(?:home|her|his|my|their|your|new|postal|billing) address(?: is)?"
        r"|lives? (?:at|in)|living at|resid(?:es|ing"
        r"|ent) (?:at|in)"
        r"|wohnhaft (?:in)?|wohnt in|anschrift|domicili[eé][eé]? (?:au|à))"
        r"\b:? {0,2}([^\[\n\x00;]{0,40}?[0-9]{1,5}[A-Za-z]?\b[^\[\n\x00;.]{0,60})",
    ),
)
