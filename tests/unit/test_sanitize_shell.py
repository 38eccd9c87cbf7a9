"""A command reads only when all of it is understood; whatever else it is, it is not."""

import time

import pytest

from countersign.sanitize.shell import OTHER, read


@pytest.mark.parametrize(
    "command",
    [
        "ls",
        "ls -la /srv",
        "/bin/ls",
        "/usr/bin/ls -l",
        "cat a.log | grep -i 'some error' | wc -l",
        'grep -r "two words" /srv --include=a.py',
        "tail -n 50 x; uptime",
        "head -5 x && df -h || id",
        "cat -",
        "ls a*",
        ["ls", "-l"],
        ["grep", "two words", "x"],
    ],
)
def test_what_reads(command):
    assert read(command).reads


@pytest.mark.parametrize(
    "command",
    [
        "/tmp/evil/ls",
        "/usr/local/bin/ls",
        "/usr/bin/../../tmp/ls",
        "/usr/bin/x/ls",
        "~/ls",
        "./ls",
        "bin/ls",
        "LD_PRELOAD=/tmp/e.so ls",
        "PATH=/tmp/evil ls",
        "A+=b ls",
        "ls; LD_PRELOAD=x ls",
        "ls | sh",
        "ls | ",
        "| ls",
        "ls || ",
        "ls > x",
        "ls >> x",
        "ls < x",
        "ls `x`",
        "ls $(x)",
        "ls $X",
        "ls ${X}",
        'ls "$X"',
        'ls "`x`"',
        "ls $'x'",
        "ls <(x)",
        "ls & rm x",
        "ls &",
        "cat a\nrm b",
        "ls\rrm b",
        "ls {rm,b}",
        "ls ~root",
        "ls *",
        "ls ''*",
        "ls ?",
        "ls [a]",
        "ls !1",
        "ls # x",
        "ls \\\n",
        "su\\do rm",
        "ls 'x",
        'ls "x',
        'ls "\nrm b"',
        "ls \u00a0x",
        "ls\tx",
        "=ls",
        "(ls)",
        "find / -delete",
        "find / -exec rm x",
        "sed -i s/a/b/ x",
        "sort -o a b",
        "tar --to-command=x -xf a",
        "awk x",
        "xargs ls",
        "env ls",
        "sudo ls",
        "git -c x=y log",
        "tee x",
        "file -C x",
        "file -m x",
        "diff -l a b",
        "diff --output x",
        "tail -f x",
        "ls --zap",
        "ls --Color",
        "ls '--zap'",
        "ls -\u00e9",
        "cat -'Z' x",
        "",
        " ",
        ["/tmp/ls"],
        ["ls", "; rm x"],
        ["ls", "$X"],
        ["ls", ""],
        ["LD_PRELOAD=x", "ls"],
        ["sh", "-c", "ls"],
        [],
    ],
)
def test_what_does_not_only_read(command):
    assert not read(command).reads


@pytest.mark.parametrize(
    ("command", "programs"),
    [
        ("/tmp/evil/ls", (OTHER,)),
        ("~/ls", (OTHER,)),
        ("/usr/bin/mysql -p", ("mysql",)),
        ("/usr/bin/bin/ls", (OTHER,)),
        ("PATH=/tmp ls | /opt/x", ("ls", OTHER)),
        ("ls\rrm b", ("ls", "rm")),
    ],
)
def test_a_program_from_elsewhere_is_another_program(command, programs):
    assert read(command).programs == programs


@pytest.mark.parametrize("piece", ["a;", "a -b ", "a|", "'", "''", "a ", "&&", "ls|", "a=b "])
def test_long_commands_are_not_understood_and_cost_little(piece):
    start = time.process_time()
    found = read(piece * (62_000 // len(piece)))
    assert not found.reads
    assert time.process_time() - start < 1, "a generous bound: it takes a tenth of this"


def test_beyond_its_bounds_nothing_is_said_of_a_command():
    assert read("ls;" * 200).programs == (OTHER,)
    assert read(["ls"] + ["a"] * 600).programs == (OTHER,)
    assert not read(["ls"] + ["a"] * 600).reads
