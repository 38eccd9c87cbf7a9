"""Credentials by what they are given to: headers, addresses, settings, code, statements."""

import pytest

from countersign.sanitize import Sanitizer

SANITIZER = Sanitizer()

GIVEN = [
    "Proxy-Authorization: Basic {}",
    "Authorization: Custom {}",
    'authorization: Digest username="u", response="{}"',
    "Authorization: AWS4-HMAC-SHA256 Credential=AK/s3, SignedHeaders=host, Signature={}",
    "Set-Cookie: sid={}; Path=/",
    "cookie: a=b; sid={}",
    "X-Api-Key: {}",
    "X-Amz-Security-Token: {}",
    "X-Vault-Token: {}",
    "PRIVATE-TOKEN: {}",
    "Ocp-Apim-Subscription-Key: {}",
    "curl -H 'x-functions-key: {}' x",
    "https://x.example/a?X-Amz-Signature={}&b=1",
    "https://x.example/a?sv=2020&sig={}&se=1",
    "https://x.example/a?access_token={}",
    "https://x.example/cb?code={}&state=1",
    "https://x.example/a?key={}",
    "https://x.example/#id_token={}",
    "https://{}@github.example/x",
    "https://user:a@{}@host/x",
    "jdbc:sqlserver://h:1433;databaseName=d;user=sa;password=a{{{};",
    "jdbc:oracle:thin:scott/{}@//h:1521/x",
    "jdbc:mysql://h/d?user=u&password={}",
    'Server=tcp:h,1433;User ID=sa;Password="a;{}";Encrypt=True',
    "Server=h;Uid=sa;Pwd={{a;{}}};",
    "AccountName=n;AccountKey={};EndpointSuffix=x",
    "Endpoint=sb://n/;SharedAccessKeyName=k;SharedAccessKey={}=",
    "host=h user=u password={} dbname=d",
    'apiKey:"{}"',
    "'secret' => '{}'",
    "$config['db_password'] = '{}';",
    'os.environ["API_TOKEN"] = "{}"',
    '"password" : "a\\"{}"',
    '{{\\"password\\":\\"{}\\"}}',
    "password is: {}",
    "pass: {}",
    "pw={}",
    "secret_key_base: {}",
    "<password>{}</password>",
    '<add key="Password" value="{}"/>',
    "<connectionString>{}</connectionString>",
    "passphrase {}77",
    "ALTER USER bob WITH PASSWORD '{}'",
    'create user bob identified by "{}"',
    "CREATE LOGIN x WITH PASSWORD = N'{}'",
    "SET PASSWORD FOR 'bob' = '{}'",
    "-----BEGIN PRIVATE KEY----- {} -----END PRIVATE KEY----- tail",
    "-----BEGIN PRIVATE KEY-----\\n{}\\n-----END PRIVATE KEY-----",
]  # fmt: skip


@pytest.mark.parametrize("form", GIVEN)
def test_what_is_given_to_a_secrets_name_is_masked(form):
    for around in ("{}", "see\n{}\nok", "x = 1\n{}"):
        text = SANITIZER.text(around.format(form.format("zqsecret")))
        assert "zqsecret" not in text
        assert "[SECRET]" in text


@pytest.mark.parametrize(
    "text",
    [
        "Reset the password policy and the token bucket size to 100.",
        "Authentication is required; authorization: none",
        "the api key rotation job; token count; access key age 90 days",
        "passed: 12 failed: 3 pass: 12",
        "key=orders and code=404 in region eu-1",
        "https://x.example/search?q=orders&page=2&sort=created_at",
        "key.converter=org.apache.kafka.connect.storage.StringConverter",
        "arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/db-AbCdEf",
        "x.example/app@sha256:" + "3f786850e387550f" * 4,
        "alter table accounts add column password_changed_at timestamptz",
        "password v1.2.3 and token /etc/x1 and secret --name2",
    ],
)
def test_what_only_names_a_secret_stays_readable(text):
    assert SANITIZER.text(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "password: $({})",
        "TOKEN=$({})",
        "TOKEN=$({}",
        "password=[{}]",
        "password=[{}:9f2c]",
        "mysql -url=root:{}",
        "mysql -uri=root:{}",
        "mysql -url='root:{}'",
        "x -user bob:{}",
        "http --auth 'bob:{}' x.example",
    ],
)
@pytest.mark.parametrize("secret", ["hunter2hunter2", "HUNTERTWO7"])
def test_what_looks_like_a_variable_or_a_placeholder_is_none(text, secret):
    assert secret not in SANITIZER.text(text.format(secret))


@pytest.mark.parametrize(
    "text", ["password: $(swordfish)", "TOKEN=$(swordfish)", "password=[HUNTERTWO]"]
)
def test_a_word_that_no_command_is_given_to_is_no_command(text):
    assert "[SECRET]" in SANITIZER.text(text)


@pytest.mark.parametrize(
    "text",
    [
        "TOKEN=$(cat /run/x)",
        "TOKEN=$(base64 -d x)",
        "TOKEN=$(./bin/get-token)",
        "TOKEN=$(aws ecr get-login-password)",
        "password=[SECRET]",
        "password=[EMAIL]",
        "password=[POLICY]",
        "flyway -url=jdbc:postgresql://db/x migrate",
        "x -url=https://db.example/x migrate",
        "x -uri='https://db.example/x'",
        "x -url=localhost:8080 -v",
        "x -url=db.example:8080/x -v",
    ],
)
def test_commands_placeholders_and_urls_stay_readable(text):
    assert SANITIZER.text(text) == text


def test_a_name_in_aws_hides_no_value_behind_it():
    for text in (
        "arn:aws:x:password=zqsecret",
        "token: arn:zqsecret",
        "arn:aws:secretsmanager:eu-1:1:secret:a password=zqsecret",
    ):
        assert "zqsecret" not in SANITIZER.text(text)


def alnum(size):
    return "".join("aB3dE5gH7jK9mN2pQ4sT6vW8"[index * 7 % 24] for index in range(size))


@pytest.mark.parametrize(
    "token",
    [
        "ya29." + alnum(60),
        "9073626313:AA" + alnum(33),
        "MT" + alnum(22) + ".juwWcB." + alnum(38),
        "abc8Q~" + alnum(34),
        "pat" + alnum(14) + "." + "5e1f" * 16,
        "dckr_pat_" + alnum(27),
        "acme." + alnum(30) + ".k3J9x" + "." + alnum(24),
    ],
)
@pytest.mark.parametrize("text", ["use {} for now", "https://x.example/v1/{}/state", "{}"])
def test_a_token_of_several_parts_goes_whole(token, text):
    shown = SANITIZER.text(text.format(token))
    assert "[SECRET]" in shown
    parts = token.replace("~", ".").replace(":", ".").split(".")
    assert not [part for part in parts if part in shown and part != "acme"]


DIGEST = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"


@pytest.mark.parametrize(
    "text",
    [
        f"Revert to {DIGEST}\n\nThe roll-out failed.",
        f"git checkout {DIGEST}",
        f"commit {DIGEST}",
        f"git diff --stat {DIGEST}..{DIGEST}",
        f"git log {DIGEST}~3..{DIGEST}",
        'curl -H "Authorization: Bearer $TOKEN" https://x.example/a',
        "git clone git@git.corp.example:team/app.git",
        "rsync -avz build/ deploy@web-1.corp.example:/srv/",
        f"uses: actions/checkout@{DIGEST}",
        "docker pull registry.example/a@sha256:" + "9d03be74f2a91c07" * 4,
        "trace_id=4bf92f3577b34da6a3ce929d0e0e4736 span_id=00f067aa0ba902b7 ok",
        "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    ],
)
def test_what_names_a_version_or_a_trace_stays(text):
    assert SANITIZER.text(text) == text


def test_a_hex_text_that_nothing_names_is_masked():
    assert SANITIZER.text(f"use {DIGEST} for now") == "use [SECRET] for now"
    assert DIGEST not in SANITIZER.text(f"token={DIGEST}")


def test_a_login_in_a_database_address_keeps_user_and_host():
    shown = SANITIZER.text("psql postgres://app:pw12@db.corp.example:5432/shop")
    assert shown == "psql postgres://app:[SECRET]@db.corp.example:5432/shop"
    assert "rose" not in SANITIZER.text("mysql://rose.kowalska:pw12@db.corp.example/shop")
    assert "ada" not in SANITIZER.text("amqp://ada%40x.example:pw12@mq.corp.example/")
    assert "k3y" not in SANITIZER.text("https://k3y:x-oauth-basic@git.corp.example/a")
