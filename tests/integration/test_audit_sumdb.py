"""Our notes and proofs in the hands of Go's own transparency-log code.

`golang.org/x/mod/sumdb` is what the Go command trusts for its checksum
database: `note` opens the checkpoint, `tlog` checks each proof and computes the
root from the records again.
"""

import base64
import functools
import json
import subprocess

import pytest

import realparts
from audit_world import LOG_ID, SIGNER, START_US, VKEY, written
from countersign.audit.local import LocalSink
from countersign.audit.note import Checkpoint, Note, sign
from countersign.audit.plan import checkpoint_name
from countersign.audit.prove import prove, prove_extends, record_at
from countersign.model import SECOND_US
from witness_world import cosign

MODULE = "module check\n\ngo 1.24\n\nrequire golang.org/x/mod v0.33.0\n"
PROGRAM = """
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type input struct {
	Vkey     string
	Old, New []byte
	Records  [][]byte
	Proofs   []struct {
		Index int64
		Path  [][]byte
	}
	Consistency [][]byte
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func hashes(list [][]byte) []tlog.Hash {
	var out []tlog.Hash
	for _, item := range list {
		var hash tlog.Hash
		copy(hash[:], item)
		out = append(out, hash)
	}
	return out
}

func open(data []byte, known note.Verifiers) tlog.Tree {
	opened, err := note.Open(data, known)
	must(err)
	lines := strings.Split(opened.Text, "\\n")
	size, err := strconv.ParseInt(lines[1], 10, 64)
	must(err)
	root, err := tlog.ParseHash(lines[2])
	must(err)
	return tlog.Tree{N: size, Hash: root}
}

func main() {
	var in input
	must(json.NewDecoder(os.Stdin).Decode(&in))
	verifier, err := note.NewVerifier(in.Vkey)
	must(err)
	known := note.VerifierList(verifier)
	old, tree := open(in.Old, known), open(in.New, known)

	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		var out []tlog.Hash
		for _, index := range indexes {
			out = append(out, stored[index])
		}
		return out, nil
	})
	for index, record := range in.Records {
		more, err := tlog.StoredHashes(int64(index), record, reader)
		must(err)
		stored = append(stored, more...)
	}
	root, err := tlog.TreeHash(tree.N, reader)
	must(err)
	if root != tree.Hash {
		log.Fatal("another root")
	}
	for _, proof := range in.Proofs {
		leaf := tlog.RecordHash(in.Records[proof.Index])
		must(tlog.CheckRecord(hashes(proof.Path), tree.N, tree.Hash, proof.Index, leaf))
	}
	must(tlog.CheckTree(hashes(in.Consistency), tree.N, tree.Hash, old.N, old.Hash))
	fmt.Println("agreed on", tree.N)
}
"""


@pytest.fixture(scope="module")
def checker(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sumdb")
    (folder / "go.mod").write_text(MODULE)
    (folder / "main.go").write_text(PROGRAM)
    built = subprocess.run(
        [str(realparts.go()), "build", "-mod=mod", "-o", "check", "."],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    return folder / "check"


def test_go_agrees_on_roots_notes_and_proofs(checker, tmp_path):
    written(tmp_path, 300, 213)
    read = functools.partial(LocalSink(tmp_path).read, LOG_ID)
    note = read("checkpoint")
    question = {
        "Vkey": VKEY,
        "Old": read(checkpoint_name(300)),
        "New": note,
        "Records": [record_at(seq, 513, read) for seq in range(513)],
        "Proofs": [
            {"Index": seq, "Path": prove(seq, note, read).path}
            for seq in (0, 1, 255, 256, 300, 511, 512)
        ],
        "Consistency": prove_extends(300, 513, read),
    }
    done = ask(checker, question)
    assert done.stdout == "agreed on 513\n", done.stderr
    text = Note.parse(note).text
    forged = {**question, "New": note.replace(text.encode(), text.replace("513", "514").encode())}
    assert "invalid signature" in ask(checker, forged).stderr


def test_go_opens_a_checkpoint_that_a_witness_has_cosigned(checker, tmp_path):
    directory = written(tmp_path, 300, 213)
    cosign(directory, 513, START_US // SECOND_US + 600, pointer=True)
    read = functools.partial(LocalSink(tmp_path).read, LOG_ID)
    question = {
        "Vkey": VKEY,
        "Old": read(checkpoint_name(300)),
        "New": read("checkpoint"),
        "Records": [record_at(seq, 513, read) for seq in range(513)],
        "Proofs": [],
        "Consistency": prove_extends(300, 513, read),
    }
    assert question["New"].count(b"\xe2\x80\x94 ") == 2
    assert ask(checker, question).stdout == "agreed on 513\n"
    for old in (1, 2, 255, 256, 257, 299, 511, 512, 513):
        short = written(tmp_path / f"to {old}", old)
        more = {
            "Old": (short / "checkpoint").read_bytes(),
            "Consistency": prove_extends(old, 513, read),
        }
        assert ask(checker, question | more).stdout == "agreed on 513\n", old


@pytest.fixture(scope="module")
def question(tmp_path_factory):
    """What Go is asked about a log of 513 records, all of it true."""
    root = tmp_path_factory.mktemp("log")
    written(root, 300, 213)
    read = functools.partial(LocalSink(root).read, LOG_ID)
    note = read("checkpoint")
    return {
        "Vkey": VKEY,
        "Old": read(checkpoint_name(300)),
        "New": note,
        "Records": [record_at(seq, 513, read) for seq in range(513)],
        "Proofs": [{"Index": seq, "Path": prove(seq, note, read).path} for seq in (0, 255, 512)],
        "Consistency": prove_extends(300, 513, read),
    }


@pytest.mark.parametrize("seq", [0, 255, 256, 300, 512])
def test_go_rejects_a_mutated_entry(checker, question, seq):
    records = list(question["Records"])
    records[seq] = records[seq].replace(b"heartbeat", b"heartbeet")
    assert "another root" in ask(checker, question | {"Records": records}).stderr


@pytest.mark.parametrize("change", ["drop", "swap", "duplicate"])
def test_go_rejects_entries_that_were_moved(checker, question, change):
    records = list(question["Records"])
    records[100:102] = {
        "drop": [records[101], records[101]],
        "swap": [records[101], records[100]],
        "duplicate": [records[100], records[100]],
    }[change]
    assert "another root" in ask(checker, question | {"Records": records}).stderr


def flipped(data, at=0):
    changed = bytearray(data)
    changed[at] ^= 1
    return bytes(changed)


@pytest.mark.parametrize("proof", [0, 1, 2])
@pytest.mark.parametrize("step", [0, -1])
def test_go_rejects_a_proof_from_a_mutated_tile(checker, question, proof, step):
    proofs = [dict(each) for each in question["Proofs"]]
    path = list(proofs[proof]["Path"])
    path[step] = flipped(path[step])
    proofs[proof]["Path"] = path
    done = ask(checker, question | {"Proofs": proofs})
    assert done.returncode == 1
    assert "invalid transparency proof" in done.stderr


def test_go_rejects_a_consistency_proof_from_a_mutated_tile(checker, question):
    for step in range(len(question["Consistency"])):
        path = list(question["Consistency"])
        path[step] = flipped(path[step], 31)
        done = ask(checker, question | {"Consistency": path})
        assert "invalid transparency proof" in done.stderr, step


@pytest.mark.parametrize("which", ["Old", "New"])
@pytest.mark.parametrize("at", [0, 17, 30, -8], ids=["origin", "size", "root", "signature"])
def test_go_rejects_a_mutated_checkpoint(checker, question, which, at):
    done = ask(checker, question | {which: flipped(question[which], at)})
    assert done.returncode == 1
    assert "agreed" not in done.stdout


@pytest.mark.parametrize("which", ["Old", "New"])
def test_go_rejects_a_signed_checkpoint_of_another_history(checker, question, which):
    size = {"Old": 300, "New": 513}[which]
    text = Checkpoint(origin=LOG_ID, size=size, root=bytes(32)).text()
    forked = sign(text, [SIGNER]).encode()
    done = ask(checker, question | {which: forked})
    assert done.returncode == 1
    assert "agreed" not in done.stdout


def ask(checker, question):
    data = json.dumps(question, default=lambda value: base64.b64encode(value).decode())
    return subprocess.run(
        [str(checker)], input=data, capture_output=True, text=True, timeout=60, check=False
    )
