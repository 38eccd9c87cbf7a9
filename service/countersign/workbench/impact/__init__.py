"""Impact analysis: what recorded decisions would have been under another policy.

Records are sanitized, so parts of what policy was asked are unknown. Nothing is
guessed: a decision is *same*, *changed*, or *depends* on the masked fields that
would have to be known.

    unknowns  quantity  recorded    what a record says, and what it leaves open
    answers                         what policy said, and how two answers differ
    terms  operations  trace        what a full evaluation did with what is unknown
    candidate  compiling            the OPA that serves the candidate, and its questions
    likeness  judging               one decision: same, changed or depends
    replay  summary  telling        a log, counted and told

Called by the command line alone.
"""
