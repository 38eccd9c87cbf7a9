"""Texts that once cost the square of their length, found by `make fuzz` or by reading.

What is slow here runs inside `re`, where no call can be counted, so CPU is
measured: the bound is ten times and more what it takes, and was exceeded ten
times and more.
"""

import time

import pytest

from countersign.model import ActionContext, Principal, Resource
from countersign.sanitize import Sanitizer

SIZE = 56_000
MOST_S = 1.0
SANITIZER = Sanitizer()

STEEP = {
    "a long word of a command": lambda size: {"command": "mysql " + "a" * size},
    "a long word with signs": lambda size: {"command": "mysql " + "a-" * (size // 2)},
    "options, all different": lambda size: {
        "command": "docker " + " ".join(f"-{n:x}" for n in range(size // 5))
    },
    "blanks before what is no remark": lambda size: {"note": "a: x" + " " * size + "y #\nb: c"},
    "a number that goes on as a name": lambda size: {"sql": "SELECT " + "01" * (size // 2) + "_a"},
    "digits beside a random token": lambda size: {"note": "1" * size + ".k3j9x0q2m4v8b7n1z5c6"},
}


def seconds(arguments):
    """What a look and a preview cost."""
    context = ActionContext(
        actor=Principal(type="agent", id="agent-7"),
        on_behalf_of=(),
        action="db.export",
        resource=Resource(type="db", id="x", owner="data", attributes={}),
        environment="production",
        arguments=arguments,
        reason="",
        session="",
    )
    begun = time.thread_time()
    found = SANITIZER.detect(context, known=lambda _: False)
    SANITIZER.preview(
        context, found, profile="reviewer", policy_mask=[], must_show=[], tag_key=b"k" * 32
    )
    return time.thread_time() - begun


@pytest.mark.parametrize("steep", STEEP)
def test_no_text_costs_the_square_of_its_length(steep):
    assert seconds(STEEP[steep](SIZE)) < MOST_S
