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


def test_a_name_in_aws_hides_no_value_behind_it():
    for text in (
        "arn:aws:x:password=zqsecret",
        "token: arn:zqsecret",
        "arn:aws:secretsmanager:eu-1:1:secret:a password=zqsecret",
    ):
        assert "zqsecret" not in SANITIZER.text(text)
