"""What only the words before it name: ids without check digits, dates of birth, illness."""

from __future__ import annotations

from typing import Final

from countersign.sanitize import identity, kinds
from countersign.sanitize.rules.rule import Rule

_GAP: Final = r"""[^0-9\[\n\x00]{0,24}?"""
_ID: Final = (
    r"\b([A-Za-z]{0,5}[ \-]?[0-9][0-9A-Za-z]*(?:[ .\-/]{1,2}[0-9A-Za-z]{0,3}[0-9][0-9A-Za-z]*"
    r"|[ -][A-Z]\b){0,6}(?:\([0-9A]\))?)"
)
"""Letters and groups, each with a digit in it, or a last letter."""
_PAPERS: Final = (
    r"passport|reisepass|passeport|pasaporte|passaporto|passaporte|paspoort|paszport"
    r"|driv(?:ing|er'?s?)[ _-]licen[cs]e|licen[cs]e[ _-](?:no|number|nr)|f(?:ü|ue)hrerschein"
    r"|permis[ _-]de[ _-]conduire|licencia[ _-]de[ _-]conducir|patente[ _-]di[ _-]guida"
    r"|rijbewijs|k(?:ö|o)rkort"
    r"|national[ _-](?:id|insurance|identity|registration)|identity[ _-](?:card|number|document)"
    r"|id[ _-]card|personalausweis|ausweis(?:nummer|nr)|carte[ _-]d'identit(?:é|e)"
    r"|documento[ _-]de[ _-]identidad|dowod|tax(?:payer)?[ -]?(?:id|file|number|identification"
    r"|payer)|steuer[- ]?(?:id|nr|nummer|ident)|social[ _-](?:insurance|security)"
    r"|sozialversicherung|sv-?(?:nummer|nr)|s(?:é|e)curit(?:é|e)[ _-]sociale"
    r"|n\.?i\.?(?: number| no)|nino|nhs|medicare|mbi|aadhaar|aadhar|uidai|pan[ _-](?:card|no"
    r"|number)|bsn|burgerservicenummer|rijksregister|registre[ _-]national|personnummer"
    r"|samordningsnummer|f(?:ø|oe|o)dselsnummer|cpr(?:[- ]n(?:r|ummer))?|henkil(?:ö"
    r"|o)tunnus|hetu|pesel|rodn(?:é|e)|nie|dni|nif|n\.i\.f|contribuinte|niss"
    r"|codice[ _-]fiscale|ahv|avs|cpf|cnpj|rg[ _-]n|curp|rfc|nric|fin[ _-](?:no|number)|hkid"
    r"|hk[ _-]id|rrn"
    r"|resident[ _-](?:registration|id|identity)|my ?number|amka|cnp|egn|oib|jmbg|isikukood"
    r"|asmens[ _-]kodas|pps(?:n)?|utr|sa[ _-]id|id[ _-]number|id[ _-]no|visa[ _-](?:no|number)"
    r"|green[ _-]card"
    r"|alien[ _-](?:registration )?number|a-number|immigration|voter"
    r"|(?-i:ITIN"
    r"|EIN|TIN|SIN|TFN|PAN|FIN|NIE|NIP|NIN|SSN|RUT|TC|RG|CNH|DL|ID)"
)
_MONTHS: Final = (
    r"(?:jan|feb|mar|apr|may|mai|mayo|jun|jul|aug|sep|oct|okt|nov|dec|dez|m(?:ä|ae)r|janv|f(?:é"
    r"|e)v|avr"
    r"|ao(?:û|u)t|d(?:é|e)c|ene|abr|ago|dic|gen|mag|giu|lug|set|ott|out)[\p{L}]{0,7}\.?"
)
_DATE: Final = (
    r"((?:[0-9]{1,4}[./\- ]{1,2}[0-9]{1,2}[./\- ]{1,2}[0-9]{2,4}"
    rf"|[0-9]{{1,2}}(?:st|nd|rd|th|\.|º|er)?[ \-]{{1,2}}(?:of "
    rf"|de )?{_MONTHS},?(?: de)?[ \-]{{1,2}}[0-9]{{2,4}}"
    rf"|{_MONTHS} [0-9]{{1,2}}(?:st|nd|rd|th)?,? [0-9]{{4}}|(?:19|20)[0-9]{{6}}\b))"
)
_ILLNESS: Final = "|".join(
    """
diabet(?:es|ic) hiv aids cancer carcinoma tumou?r leuk(?:a?)emia lymphoma melanoma hepatitis
tuberculosis asthma epilepsy schizophrenia bipolar depression anxiety autism adhd dementia
alzheimer(?:'s)? parkinson(?:'s)? stroke hypertension pneumonia covid(?:-19)? malaria syphilis
gonorrh(?:o?)ea chlamydia herpes psoriasis arthritis anorexia bulimia migraine miscarriage abortion
pregnan(?:t|cy) infertility alcoholism addiction cirrhosis sclerosis crohn(?:'s)? colitis lupus
insulin metformin warfarin sertraline fluoxetine citalopram escitalopram lithium clozapine
olanzapine quetiapine risperidone methadone buprenorphine naltrexone oxycodone morphine
fentanyl tramadol
ibuprofen paracetamol penicillin amoxicillin tamoxifen methotrexate prednisone levothyroxine
atorvastatin lisinopril amlodipine omeprazole truvada viagra sildenafil xanax alprazolam diazepam
lorazepam ritalin methylphenidate adderall prozac zoloft chemotherapy dialysis transplant
""".split()
)
_CARE: Final = (
    r"(?:patient|diagnos|prescri|suffer|treat|allerg|medic|symptom|dose|dosage|hospital|clinic"
    r"|therap"
    r"|surg|tested positive|has|have|had|history of|takes|taking|doctor|nurse|disabilit|sick"
    r"|illness)"
)
_DEGREES: Final = (
    r"[0-9]{1,3}° ?[0-9]{1,2}['\x{2032}\x{2019}] ?"
    r"""(?:[0-9]{1,2}(?:\.[0-9]+)?(?:["\x{2033}\x{201d}]|'') ?)?[NSEWO]"""
)

RULES: Final = (
    Rule(
        id="paper.mentioned",
        kind=kinds.GOVERNMENT_ID,
        pattern=rf"(?i)(?:(?:\b|_)(?:{_PAPERS})(?:\b|[^0-9A-Za-z])|マイナンバー|身份证|주민등록){_GAP}{_ID}",
        check=identity.numbered(5),
    ),
    Rule(
        id="birth.mentioned",
        kind=kinds.DATE_OF_BIRTH,
        pattern=r"(?i)(?:\b|_)(?:born|d\.?o\.?b|date[ _-]of[ _-]birth|birth[ _-]?da(?:te|y)"
        r"|geb(?:oren|urtsdatum"
        r"|urtstag)?"
        r"|n(?:é|e)e? le|naissance|nacid[oa]|nacimiento|nat[oa] il|nascita|nascid[oa]|nascimento"
        r"|f(?:ø|ö)d[dt]|urodzon[ay]|urodzenia|syntynyt)\b"
        rf"[^0-9\[\n\x00]{{0,16}}?\b{_DATE}",
    ),
    Rule(
        id="account.mentioned",
        kind=kinds.FINANCIAL,
        pattern=r"(?i)(?:\b|_)(?:bank[ _-]account|bank a/c|a/c (?:no|number)"
        r"|acc(?:oun)?t\.?[ _-]?(?:number"
        r"|num|no|nr|#)"
        r"|konto(?:nummer|nr)?|cuenta|clabe|num(?:é|e)ro de compte|rekeningnummer|conto corrente"
        r"|sort[ _-]?code|bsb|bankleitzahl|blz|bankgiro|plusgiro|ifsc|routing|aba|transit)\b"
        rf"{_GAP}\b([A-Z]{{0,4}}[0-9](?:[ \-/]?[0-9]){{5,19}})",
        check=identity.numbered(6),
    ),
    Rule(
        id="swift.mentioned",
        kind=kinds.FINANCIAL,
        pattern=r"\b(?:SWIFT|BIC|Swift|swift|bic)\b[^\[\n\x00]{0,16}?"
        r"\b([A-Z]{4}(?:[A-Z]{2})[A-Z0-9]{2}(?:[A-Z0-9]{3})?)\b",
    ),
    Rule(
        id="employer.us",
        kind=kinds.GOVERNMENT_ID,
        pattern=r"\b(?:EIN|FEIN|employer id(?:entification)?(?: number)?)\b[^0-9\[\n\x00]{0,16}"
        r"([0-9]{2}-?[0-9]{7})\b",
    ),
    Rule(
        id="medical.record",
        kind=kinds.HEALTH,
        pattern=r"(?i)(?:\b|_)(?:mrn|medical[ _-]record(?:[ _-](?:no|number))?"
        r"|patient(?:en)?[ _-]?(?:id|no|nr|number|nummer"
        r"|record|file)"
        rf"|health (?:card|insurance|plan)|hospital (?:no|number))\b{_GAP}{_ID}",
        check=identity.numbered(4),
    ),
    Rule(
        id="icd",
        kind=kinds.HEALTH,
        pattern=r"(?i)\b(?:icd(?:-?(?:9|10|11)(?:-?cm)?)?|diagnos(?:is|es|ed|e|tic|tico|tik"
        r"|tiziert)?|dx"
        r"|befund)\b[^\[\n\x00]{0,32}?"
        r"\b([A-TV-Z][0-9][0-9AB](?:\.[0-9A-Z]{1,4})?)\b",
    ),
    Rule(
        id="illness",
        kind=kinds.HEALTH,
        pattern=rf"(?i)\b{_CARE}[^.\[\n\x00]{{0,40}}?\b((?:{_ILLNESS})(?: type [12])?)\b",
    ),
    Rule(
        id="plate.mentioned",
        kind=kinds.VEHICLE,
        pattern=r"(?i)\b(?:licen[cs]e plates?|number plates?|plate (?:no|number)|kennzeichen"
        r"|kentekenplaat"
        r"|plaque d'immatriculation|matr(?:í|i)cula|targa|vehicle registration|registration"
        r" (?:no|number))"
        r"\b[^0-9\[\n\x00]{0,16}?\b([A-Z]{1,3}[ \-]?[A-Z]{0,2}[ \-]?[0-9]{1,4}[ \-]?[A-Z]{0,3}"
        r"|[0-9]{1,4}[ \-]?[A-Z]{1,3}[ \-]?[0-9]{0,4})\b",
    ),
    Rule(
        id="vin.mentioned",
        kind=kinds.VEHICLE,
        pattern=r"(?i)\b(?:vin|chassis|fahrgestellnummer"
        r"|vehicle identification)\b[^\[\n\x00]{0,24}?"
        r"\b([A-HJ-NPR-Z0-9]{11,17})\b",
        check=identity.numbered(4),
    ),
    Rule(
        id="place.mentioned",
        kind=kinds.LOCATION,
        pattern=r"(?i)\b(?:lat|lng|lon|latitude|longitude|gps|coord[a-z]*|geo[a-z]*|located"
        r"|location"
        r"|position)\b[^0-9\[\n\x00]{0,16}?([-+]?[0-9]{1,3}\.[0-9]{3,}"
        r"(?:[°NSEW ]{0,3}[,; /][^0-9\[\n\x00]{0,8}"
        r"[-+]?[0-9]{1,3}\.[0-9]{3,})?)",
    ),
    Rule(
        id="place.pair",
        kind=kinds.LOCATION,
        pattern=r"([-+]?\b[0-9]{1,2}\.[0-9]{4,}°? ?[NS]?[,;] ?"
        r"[-+]?[0-9]{1,3}\.[0-9]{4,}(?:°? ?[EW]\b)?)",
        check=identity.coordinates,
    ),
    Rule(
        id="place.degrees",
        kind=kinds.LOCATION,
        pattern=rf"{_DEGREES}(?:[, ]{{1,3}}{_DEGREES})?",
    ),
)
