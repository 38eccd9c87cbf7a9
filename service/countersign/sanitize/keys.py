"""What a key's name says about the value below it.

The rule is about the end of the name: `billing_email` is an e-mail address,
`email_template` is none. Names are split into words at `_ - . space` and
camelCase; a number or a qualifier at the end (`email2`, `old_password`,
`ssn_value`) does not hide a name. `…_name` is a person's name unless the word
before it is technical (`table_name`); a bare `name` depends on what stands
around it. Account names (`user`, `username`, `login`) stay readable: who gets
the grant is what a reviewer must judge, and an address in one is still found.

Pure; what is kept of names that were met is bounded (`KnownKeys`), for a key may
itself be data. Used by `survey` and `facts`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable
from typing import Final

from countersign.model import Withheld
from countersign.sanitize import kinds
from countersign.sanitize.kinds import Kind


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class KeyRule:
    """Mask what stands below a key of this name."""

    kind: Kind
    id: str
    deep: bool = False
    """Also objects below it, unless their own keys say something else."""
    if_personal: bool = False
    """Only where nothing around it is technical: see `survey`."""


def _rules() -> dict[str, KeyRule]:
    table: dict[str, KeyRule] = {}
    for kind, deep, names in (
        (kinds.SECRET, True, _CREDENTIAL_NAMES),
        (kinds.EMAIL, False, _EMAIL_NAMES),
        (kinds.PHONE, False, _PHONE_NAMES),
        (kinds.ADDRESS, True, _ADDRESS_NAMES),
        (kinds.PERSON, True, _PERSON_NAMES),
        (kinds.US_SSN, False, "ssn socialsecurity socialsecuritynumber socialsecurityno"),
        (kinds.GOVERNMENT_ID, False, _GOVERNMENT_NAMES),
        (kinds.DATE_OF_BIRTH, False, _BIRTH_NAMES),
        (kinds.IBAN, False, "iban"),
        (kinds.CREDIT_CARD, False, _CARD_NAMES),
        (kinds.FINANCIAL, False, _FINANCIAL_NAMES),
        (kinds.HEALTH, True, _HEALTH_NAMES),
        (kinds.LOCATION, True, _LOCATION_NAMES),
        (kinds.VEHICLE, False, _VEHICLE_NAMES),
        (kinds.WALLET, False, _WALLET_NAMES),
        (kinds.IP_ADDRESS, False, "ip ipaddress ipaddr clientip sourceip remoteip"),
    ):
        rule = KeyRule(kind=kind, id=f"key.{kind.name.lower()}", deep=deep)
        table.update(dict.fromkeys(names.split(), rule))
    table["name"] = KeyRule(kind=kinds.PERSON, id="key.name", deep=True, if_personal=True)
    table["address"] = KeyRule(kind=kinds.ADDRESS, id="key.address", deep=True, if_personal=True)
    return table


_CREDENTIAL_NAMES: Final = """
password passwd pwd pass passphrase passcode passwort kennwort pin pincode otp otpcode mfacode
totpsecret secret secretkey secretid secretvalue clientsecret appsecret token accesstoken
refreshtoken idtoken authtoken bearertoken sessiontoken apitoken bearer apikey xapikey apisecret
accesskey accesskeyid secretaccesskey privatekey signingkey encryptionkey masterkey sharedkey
accountkey sshkey hmackey licensekey serviceaccountkey storagekey authorization authorisation
proxyauthorization credential cookie setcookie sessioncookie connectionstring connectionuri
connstr connstring dsn databaseurl dburl jdbcurl mongourl redisurl webhookurl sastoken seedphrase
mnemonic recoverycode backupcode kubeconfig keystore pem pkcs12 htpasswd pgpass netrc
"""
_EMAIL_NAMES: Final = "email mail emailaddress mailaddress emailaddr"
_PHONE_NAMES: Final = """
phone phonenumber phoneno telephone telephonenumber tel mobile mobilenumber mobilephone mobileno
cellphone cellnumber fax faxnumber msisdn whatsapp telefon telefonnummer handynummer rufnummer
"""
_ADDRESS_NAMES: Final = """
address streetaddress street homeaddress postaladdress mailingaddress billingaddress
shippingaddress deliveryaddress addressline zip zipcode postcode postalcode plz adresse anschrift
strasse pobox
"""
_LOCATION_NAMES: Final = """
geolocation latitude longitude lat lng lon latlng latlong gps gpscoordinates geocoordinates geopoint
"""
_VEHICLE_NAMES: Final = """
vin vinnumber vehicleidentificationnumber licenseplate licenceplate numberplate platenumber
kennzeichen
"""
_WALLET_NAMES: Final = """
walletaddress cryptowallet btcaddress bitcoinaddress ethaddress ethereumaddress
"""
_PERSON_NAMES: Final = """
fullname firstname lastname middlename surname givenname familyname maidenname nickname forename
legalname realname customername clientname patientname employeename contactname personname
membername holdername cardholder cardholdername accountholder accountholdername beneficiary
beneficiaryname recipientname sendername payername payeename guestname passengername studentname
applicantname candidatename borrowername signername subscribername donorname mothername
vorname nachname
"""
_GOVERNMENT_NAMES: Final = """
passport passportnumber passportno passportid driverlicense driverslicense driverlicensenumber
driverslicensenumber driverlicence drivinglicence nationalid nationalidnumber
nationalinsurancenumber nino taxid taxnumber taxpayerid tin itin aadhaar aadhar steuerid
steuernummer idcardnumber governmentid visanumber sinnumber cpf curp
identitycard identitycardnumber socialinsurancenumber sozialversicherungsnummer svnummer nhsnumber
nhsno codicefiscale bsn burgerservicenummer personnummer fodselsnummer cprnumber cprnummer hetu
pesel
nif nie dni cnpj tfn taxfilenumber medicarenumber ahvnummer ahvnumber rrn nric hkid mynumber ppsn
steueridentifikationsnummer personalausweis personalausweisnummer ausweisnummer reisepass
driverlicencenumber drivinglicencenumber driverslicence driverslicencenumber aadhaarnumber pannumber
"""
_BIRTH_NAMES: Final = "dob dateofbirth birthdate birthday birthdt geburtsdatum geburtstag"
_CARD_NAMES: Final = """
creditcard creditcardnumber debitcard debitcardnumber cardnumber cardno ccnumber ccnum pan cvv cvv2
cvc securitycode
"""
_FINANCIAL_NAMES: Final = """
accountnumber accountno kontonummer bankleitzahl blz bsb clabe ifsc abanumber abarouting
bankaccount bankaccountnumber routingnumber sortcode salary income wage networth creditscore
"""
_HEALTH_NAMES: Final = """
diagnosis diagnoses icd icd10 icdcode medication prescription bloodtype bloodgroup
medicalrecord medicalrecordnumber medicalhistory mrn allergy allergies disability hivstatus
hivpositive pregnant pregnancy symptom treatment labresult healthcondition
"""

_TECHNICAL: Final = frozenset(
    """
account action agent alert app application archive artifact aws backup bean branch bucket build
catalog channel chart check class cluster code collection column command common component
condition config configmap constraint container controller country cron currency dashboard data
database dataset datasource db dc deployment device dimension dir directory disk dns document
domain endpoint engine env environment event exchange export extension factory feature field file
filter firewall flag folder form format full_table function gateway group header helm hook host
icon image index ingress input instance integration interface item job key kind kubernetes label
lambda language layer library link list load log login machine mapping measure message metadata
method metric middleware migration model module mount namespace net network node object operation
operator option org organisation organization output package page parameter params partition path
permission pipeline plan platform plugin pod policy pool port principal process product profile
project property protocol provider proxy query queue realm record region registry release replica
repo repository request resource response role rollout route router rule runtime sandbox scale
schema scope script secret section security selector sequence server service set setting shard
sheet short site snapshot source space spec stack stage state statefulset step storage store
stream subject subnet subscription switch system tab table tag target task team template test
theme thread tier tool topic trait transform trigger type unit update user utility value variable
vault version view vm vnet volume vpc web webhook widget window workflow workload workspace zone
""".split()
)
"""Words before `name` that make it the name of a thing."""

_CONTAINERS: Final = frozenset(
    """
account data document entry field input item list load login member object output payload
principal record request response result row sheet source tab target unit update user value
""".split()
)
"""Technical before `name` (`item_name`), but anybody may stand in one (`record: {name: …}`)."""

_PEOPLE: Final = frozenset(
    """
applicant assignee author beneficiary billing borrower buyer candidate cardholder caregiver child
client contact creator customer debtor director doctor donor driver employee father guardian guest
holder husband insured invoice legal manager member mother nurse owner parent partner passenger
patient payee payer person physician policyholder purchaser real recipient renter reporter
representative requester resident reviewer seller sender shareholder shipping signatory signer
spouse staff student subscriber teacher tenant traveler visitor voter wife witness worker
""".split()
)
"""Words before `name` that make it a person's whatever stands around it."""

_TECHNICAL_ADDRESSES: Final = frozenset(
    """
ip mac host memory mem bind listen listener server network net base remote local gateway contract
web url peer proxy broker cluster target source destination endpoint start end virtual physical
""".split()
)
_NUMBER_WORDS: Final = frozenset({"number", "no", "nr", "num"})
_QUALIFIERS: Final = frozenset(
    """
value old new raw hash hashed plain plaintext clear text list current previous original primary
secondary main str string encrypted base64 b64
""".split()
)
_PLURALS: Final = {
    "addresses": "address",
    "diagnoses": "diagnosis",
    "allergies": "allergies",
    "beneficiaries": "beneficiary",
    "birthdays": "birthday",
}
_KEEP_S: Final = frozenset({"address", "streetaddress", "emailaddress", "ipaddress", "pass"})
_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^\x00-\x7f]+")
_LAST_WORDS: Final = 4
_MAX_KEY: Final = 128
_RULES: Final = _rules()
_PERSON_RULE: Final = _RULES["fullname"]
_POSTAL_RULE: Final = _RULES["postaladdress"]


def words(key: str) -> list[str]:
    """The words of a name in lower case, at most the last `_MAX_KEY` characters."""
    key = key[-_MAX_KEY:]
    if key.isascii() and key.islower() and key.replace("_", "").isalpha():
        return [word for word in key.split("_") if word]
    return [word.lower() for word in _WORD.findall(key)]


def _endings(words: Iterable[str]) -> frozenset[str]:
    """The last letters of these words, plurals included; a two-letter word is its own."""
    last = {*words}
    return frozenset(word[-3:] for word in last | {f"{word}s" for word in last})


_RULE_ENDINGS: Final = _endings({*_RULES, *_PLURALS, *_NUMBER_WORDS})
_ENDINGS: Final = _RULE_ENDINGS | _endings(_QUALIFIERS)
_SHORT_ENDINGS: Final = frozenset(ending[-2:] for ending in _ENDINGS if len(ending) == 2)


def rule_of(key: str) -> KeyRule | None:
    """What the name of a key says about its value, or None."""
    if key.isascii() and _says_nothing(key):
        return None
    parts = words(key)
    rule = _rule_of_words(parts)
    for _ in range(_LAST_WORDS):
        if rule or len(parts) < 2 or not (parts[-1] in _QUALIFIERS or parts[-1].isdigit()):
            break
        parts.pop()
        rule = _rule_of_words(parts)
    return rule


def counts_tokens(key: str, value: float) -> bool:
    """`max_tokens: 4096`: how many words a model may read or write, not a secret."""
    return -_MOST_TOKENS < value < _MOST_TOKENS and words(key)[-1:] == ["tokens"]


_MOST_TOKENS: Final = 10**8


def _says_nothing(key: str) -> bool:
    """Whether it ends like no name here, with the number at its end and without: most do."""
    plain = key.rstrip("0123456789").replace("_", "")[-3:].lower()
    if not plain.isalpha() or plain in _ENDINGS or plain[-2:] in _SHORT_ENDINGS:
        return False
    if key[-1] not in "0123456789":
        return True
    end = key.replace("_", "")[-3:].lower()
    return end not in _ENDINGS and end[-2:] not in _SHORT_ENDINGS


def _rule_of_words(parts: list[str]) -> KeyRule | None:
    end = "".join(parts[-_LAST_WORDS:])[-3:]
    if end not in _RULE_ENDINGS and end[-2:] not in _SHORT_ENDINGS:
        return None
    for count in range(min(_LAST_WORDS, len(parts)), 0, -1):
        rule = _RULES.get(singular("".join(parts[-count:])))
        if rule is not None:
            return _unless_technical(rule, parts, count)
    if len(parts) > 1 and parts[-1] in _NUMBER_WORDS:
        return _number_rule(_RULES.get(singular(parts[-2])))
    return None


def _unless_technical(rule: KeyRule, parts: list[str], count: int) -> KeyRule | None:
    before = parts[-count - 1] if len(parts) > count else ""
    if rule.kind is kinds.PERSON and rule.if_personal:
        if singular(before) in _PEOPLE:
            return _PERSON_RULE
        return None if singular(before) in _TECHNICAL else rule
    if rule.kind is kinds.ADDRESS and parts[-1] in {"address", "addresses"}:
        if before in _TECHNICAL_ADDRESSES:
            return None
        return _POSTAL_RULE if before and rule.if_personal else rule
    return rule


def _number_rule(rule: KeyRule | None) -> KeyRule | None:
    """`passport number` is one even where the table lists only the passport."""
    return None if rule is None or rule.kind is kinds.PERSON else rule


def singular(word: str) -> str:
    """The word without its plural s, for the names listed here."""
    if word in _PLURALS:
        return _PLURALS[word]
    if word.endswith("s") and word not in _KEEP_S and word not in _RULES:
        return word[:-1]
    return word


def is_technical(name: str) -> bool:
    """Whether a parent's key or a resource type names a technical thing."""
    parts = words(name)
    found = {singular(part) for part in parts} & _TECHNICAL
    return bool(found - _CONTAINERS)


def table_id() -> str:
    """Everything these rules depend on, for the hash of the rule set."""
    rules = sorted((name, rule.kind.name, rule.deep) for name, rule in _RULES.items())
    return repr((rules, sorted(_TECHNICAL), sorted(_TECHNICAL_ADDRESSES), sorted(_QUALIFIERS)))


# --- names met before ---------------------------------------------------------

_MAX_KNOWN_KEYS: Final = 1_000
_PLAIN_NAME: Final = re.compile(r"[A-Za-z]{1,16}(?:_[A-Za-z]{1,16}){0,3}")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class KeyInfo:
    """What the name of a key says: about its value, and which fact it feeds."""

    rule: KeyRule | None
    fact: str | None


class KnownKeys(Withheld):
    """Plain names of keys that were met before and in which nothing was found.

    A name may be data, so only words are kept, a bounded number of them, in
    memory only.
    """

    __slots__ = ("_infos", "get")

    def __init__(self) -> None:
        self._infos: dict[str, KeyInfo] = {}

        self.get: Final = self._infos.get
        """What is known of a key, or None."""

    def learn(self, key: str, info: KeyInfo) -> None:
        """Remember a key no pattern finds anything in."""
        if len(self._infos) < _MAX_KNOWN_KEYS and _PLAIN_NAME.fullmatch(key):
            self._infos[key] = info
