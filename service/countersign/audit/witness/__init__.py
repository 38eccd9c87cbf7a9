"""A witness: who signs only checkpoints that extend those it signed before.

After c2sp.org/tlog-witness. A log that shows different people different records,
or goes back to an older copy of itself, gets no second cosignature, because the
witness remembers the largest tree it has signed for each log.

    request  rules      pure: what is asked, and what may be answered
    memory   service    the witness: what it remembers, and its answers over HTTP
    asking   cosigning  the log: asks one witness, and follows what is published

The two sides share `request` only, and run in different places under different
owners: a witness of one's own log on one's own host proves nothing.
"""
