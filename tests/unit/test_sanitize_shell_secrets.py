"""Secrets in command lines: options, variables, pipes and here-documents."""

import string
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from countersign.model import ActionContext, Principal, Resource
from countersign.sanitize import Sanitizer, shell_secrets
from countersign.sanitize.shell_words import lines, unquoted

SANITIZER = Sanitizer()


def shown(command):
    return SANITIZER.detail({"note": command})["note"]


COMMANDS = [
    "mysql -uroot -p{} db",
    "mysqldump --password={} db",
    "mysql --password \\\n  {}",
    "sshpass -p {} ssh h",
    "sshpass -p{} ssh h",
    "docker login -u u -p {} r",
    "podman login -u=u -p={} r",
    "az login --service-principal -p {}",
    "mongosh -u a -p {}",
    "redis-cli -a {} ping",
    "ldapsearch -w {} -x",
    "openssl enc -k {} -in x",
    "openssl rsa -passin pass:{}",
    "zip -P {} x.zip y",
    "7z a -p{} x",
    "htpasswd -b f u {}",
    "curl -u admin:{} https://x.example",
    "curl -uadmin:{} https://x.example",
    "curl --user admin:{} x",
    "kubectl create secret generic x --from-literal=k={}",
    "kubectl create secret generic x --from-literal k={}",
    "kubectl --token {} get po",
    "kubectl create secret generic x --from-literal=k={} -n cm",
    "kubectl -n cm create secret generic x --from-literal=k={}",
    "kubectl create secret generic cm --from-literal=k={}",
    "kubectl create secret generic create cm --from-literal k={}",
    "kubectl create secret generic mysql --from-literal=k={}",
    "k3s kubectl create secret generic x --from-literal=k={}",
    "kustomize edit add secret x --from-literal=k={}",
    "vault kv put secret/x a={}",
    "vault kv put secret/mysql a={}",
    "kubectl exec v -- vault kv put secret/mysql a={}",
    "gh secret set curl --body {}",
    "vault login {}",
    "aws configure set aws_secret_access_key {}",
    "setx API_TOKEN {}",
    "net user bob {} /add",
    "rabbitmqctl add_user bob {}",
    "sqlplus scott/{}@db",
    "gh secret set X --body {}",
    "heroku config:set ANY={}",
    "helm upgrade x --set auth.rootPassword={}",
    "terraform apply -var db_password={}",
    "ansible-playbook x -e ansible_password={}",
    "export API_TOKEN={}",
    "API_TOKEN={} make release",
    "PGPASSWORD={} psql -h db",
    "echo {} | docker login --password-stdin",
    "echo {} | base64 -d",
    "printf {} | sudo -S ls",
    "echo {} | chpasswd",
    "chpasswd <<< {}",
    "sudo -u app /usr/bin/mysql -p{}",
    "ls; mysql -p{} && ls",
    "C:\\bin\\MySQL.exe -p{} db",
    '"C:\\Program Files\\mysql.exe" -p{} db',
    "TOKEN=$(echo {})",
    "TOKEN=$(printf %s {} | tr a b)",
    "TOKEN=`echo {}`",
    "docker exec -it db mysql -u root -p{} orders",
    "kubectl exec db -- redis-cli -a {} ping",
    "docker login -u curl -p {} r",
    'bash -c "mysql -p{} db"',
    "ssh h 'vault login {}'",
    "cat <<EOF > f\n{}\nEOF",
    "cat <<-'EOF'\n\t{}\n\tEOF\nls",
    "psql <<EOF\nSELECT a FROM t WHERE b = '{}';\nEOF",
    "kubectl apply -f - <<EOF\nkind: Secret\nstringData:\n  any: {}\nEOF",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_secret_is_masked_and_the_command_stays(command):
    text = shown(command.format("swordfish"))
    assert "swordfish" not in text
    assert text[:4] == command[:4], "what is run is still seen"


COMMIT = "9d1c3f0a7b2e4d5688f1a0c2b3d4e5f60718293a"
CONTAINER = "0e5d77ab12c98f41b2a37c6d5e4f3021" * 2

QUOTED = ["'sword fish'", '"sword fish"', "$'sword fish'", r"sword\ fish", "'sword'\" fish\""]


@pytest.mark.parametrize("quoted", QUOTED)
@pytest.mark.parametrize(
    "command",
    [
        "sshpass -p {} ssh h",
        "mysql -p{} db",
        "export A_TOKEN={}; ls",
        "tool --api-token {}",
        "tool --api-token={} -v",
        "vault kv put x a={} b=c",
        "echo {} | base64 -d",
    ],
)
def test_quotes_of_all_kinds_end_where_the_shell_ends_them(command, quoted):
    text = shown(command.format(quoted))
    assert "sword" not in text
    assert "fish" not in text


WORD = st.text(string.ascii_lowercase, min_size=5, max_size=9).map(lambda word: f"zq{word}")


@given(parts=st.lists(st.one_of(WORD, st.sampled_from(" '\"\\$;|&<>#`\n")), min_size=1, max_size=6))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_whatever_is_quoted_as_a_password_is_masked(parts):
    value = " ".join(["zqfirst", *parts, "zqlast"])
    quoted = "'" + value.replace("'", "'\\''") + "'"
    for command in ("sshpass -p {} ssh h", "export A_TOKEN={}", "tool --token {} -v"):
        assert "zq" not in shown(command.format(quoted))


@pytest.mark.parametrize(
    "command",
    [
        "docker run -p 8080:80 --name web -e LOG_LEVEL=debug nginx:1.27.3",
        "mkdir -p /srv/app/releases/2026-11-22",
        "mysql -h db.internal -u app -p orders",
        "cp -p a b && chown -R app:app /srv",
        "kubectl create secret tls web-tls --cert=tls.crt --key=tls.key",
        "kubectl get secret db-credentials -n billing -o yaml",
        'curl -u "$USER:$PASS" https://x.example/',
        "aws secretsmanager get-secret-value --secret-id prod/db",
        "helm upgrade web ./chart --set image.tag=1.2.3 --set auth.enabled=true",
        "terraform apply -var region=eu-1 -auto-approve",
        "echo hello | sudo tee /etc/motd",
        "openssl x509 -in cert.pem -noout -text",
        "export PATH=/usr/local/bin:$PATH",
        "find . -print0 | xargs -0 grep -n api_key",
        "cat <<EOF\nreplicas: 3\nname: web\nEOF",
        "kubectl create configmap a --from-literal=LOG_LEVEL=debug",
        "kubectl create cm mysql --from-literal LOG_LEVEL=debug",
        "kustomize edit add configmap a --from-literal=LOG_LEVEL=debug",
        "openssl pkcs12 -in b.p12 -info -noout -passin env:P12_PASS",
        "openssl enc -d -aes-256-cbc -in a -out b -pass file:/etc/backup/pass",
        "curl -b cookies.txt -E web.pem https://x.example/login",
        "export KUBECONFIG=$HOME/.kube/prod-eu-1.yaml",
        'docker run --rm -v "$PWD":/src -w /src nginx:1.27-alpine',
        "docker run -v ${PWD}:/app -w /app python:3.12 pytest",
        "flyway -url=jdbc:postgresql://db-1:5432/orders info",
        "TOKEN=$(vault print token) ./sync.sh",
        f"git cherry-pick -n {COMMIT} && make test",
        f"git revert -m 1 {COMMIT}",
        f"git -C /srv/infra fetch origin {COMMIT}",
        f"git rebase --onto main {COMMIT} feature/import",
        f"git restore --source={COMMIT} config/app.yaml",
        f"git branch --contains={COMMIT}",
        f"git cherry-pick -m 1 {COMMIT}",
        f"git -C /srv/token-service fetch origin {COMMIT}",
        f"docker stop api {CONTAINER}",
        "aws ec2 describe-subnets --subnet-ids subnet-0bb1c79de3f0a1b2c",
        "aws iam attach-role-policy --policy-arn arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess",
        f"aws ecs stop-task --task arn:aws:ecs:eu-1:123456789012:task/{CONTAINER[:32]}",
        "aws route53 get-hosted-zone --hosted-zone-id Z0123456789ABCDEFGHIJ",
    ],
)
def test_a_plain_command_stays_readable(command):
    assert shown(command) == command


@pytest.mark.parametrize(
    "command",
    [
        "openssl rsa -in k.pem -passin pass:{secret}",
        "curl -b 'sid={secret}' https://x.example",
        "curl -E web.pem:{secret} https://x.example",
        "kubectl create configmap a --from-literal=DB_PASSWORD={secret}",
        "kubectl create secret generic a --from-literal=k={secret}",
        "export KUBECONFIG={secret}",
        "export PEM=/9j/4AAQ{secret}",
        "PWD={secret}",
        "curl -uurl:{secret} https://x.example",
        "git remote set-url origin https://{secret}@git.example.test/x",
        "git config user.token {secret}",
        "git push -o token={secret} origin main",
        "git push -o ci.variable={secret}",
        "git push -o {secret}",
        "run git push using deploy key {secret}",
        "git fetch --header={secret}",
        "git fetch --header {secret}",
        "git log -S {secret}",
        "git log -S{secret}",
        "git log -G {secret}",
        "git log --grep {secret}",
        "git log --grep={secret}",
        "git merge -m {secret}",
        "git show --format={secret}",
        "docker kill my secret key is {secret}1234567890abcdef12345678",
        "docker inspect -e SECRET_KEY {secret}1234567890abcdef12345678",
        "docker inspect -e apiKey {secret}1234567890abcdef12345678",
        "docker commit -m {secret}1234567890abcdef12345678",
        "git push {secret}xyz origin main",
        "docker exec api login {secret}1234567890abcdef12345678",
        "docker run -e K={secret}1234567890abcdef12345678 x",
    ],
)
def test_what_only_looks_like_an_id_beside_such_words_is_masked(command):
    assert COMMIT not in shown(command.format(secret=COMMIT))


def test_a_list_of_words_is_read_as_it_is_run():
    context = ActionContext(
        actor=Principal(type="agent", id="a"),
        on_behalf_of=(),
        action="shell.run",
        resource=Resource(type="host", id="h", owner="o", attributes={}),
        environment="test",
        arguments={"argv": ["mysql", "-pabc", "-h", "db"]},
        reason="",
        session="",
    )
    found = SANITIZER.detect(context, known=lambda _: False)
    clean = SANITIZER.clean(context, found, policy_mask=[], tag_key=b"k" * 32)
    assert clean.context["arguments"]["argv"] == ["mysql", "-p[SECRET]", "-h", "db"]


def test_words_are_found_with_their_quotes():
    (line,) = lines(b"a 'b c'd \"e\\\"f\" $'g\\'h' i\\ j")
    assert [word.value for word in line.words] == [b"a", b"b cd", b'e"f', b"g'h", b"i j"]
    assert unquoted(b"'open") == b"'open"
    first, second = lines(b"cat <<A <<B | x\none\nA\ntwo\nB\n")
    assert [b"cat <<A <<B | x\none\nA\ntwo\nB\n"[slice(*at)] for at in first.documents] == [
        b"one\n",
        b"\ntwo\n",
    ]
    assert second.piped


@pytest.mark.parametrize(
    "piece",
    ["mysql -p'", "$'\\'", '"\\"', "<<A ", "<<A\n", "a=b,", "cat <<E\nE\n", "sh -c 'sh -c \"",
     "'\"'\"'", "$(", "vault kv a=b ", "echo a|base64;", "\\\n"],
)  # fmt: skip
def test_long_lines_cost_linear_time(piece):
    start = time.process_time()
    list(shell_secrets.spans(("mysql " + piece * 60_000)[:60_000].encode()))
    assert time.process_time() - start < 1, "a generous bound: it takes a fifth of this"


def test_a_short_word_for_password_in_an_option_is_one_too():
    shown = Sanitizer().detail({"command": "notify --admin-pwd 'riv3r634' --dry-run"})
    assert shown["command"] == "notify --admin-pwd [SECRET] --dry-run"
