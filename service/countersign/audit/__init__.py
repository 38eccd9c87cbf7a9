"""The audit log: an RFC 6962 Merkle tree in C2SP formats, and its reading.

Records are made elsewhere and arrive as bytes; what happens to them here:

    merkle  note  tiles  plan  findings  story     pure
    sink    local                                  where files are kept
    opening publisher                              the log writer
    prove                                          proofs, made and checked
    verify  heads  checking  contents  directory   an auditor's check of a copy
    reading                                        records as they stand, unproven
    published                                      what the edge tells of logs
    cosignature  witness                           what others have seen of a log

Nothing here imports a store: `sink.RecordSource` is the part of one it needs.

Codes of `LogError`, stable:

    log.rolled_back         the store misses or contradicts what was published, or a
                            witness has cosigned more
    log.forked              a witness has cosigned other records
    log.sink_behind         the sink misses what the store published
    log.conflict            a name is taken by other bytes: two writers, or tampering
    log.gap                 records have gone from the store
    log.record_invalid      a stored record is not one line
    log.record_too_large    a record is over 65,535 bytes
    log.object_invalid      an object's bytes have another hash than its name
    log.sink_unavailable    the sink or store cannot be used now; retried
    log.tile_missing        a tile or entry bundle is not there or too short
    log.tile_invalid        tiles do not lead to the checkpoint
    log.frontier_invalid    the stored Merkle frontier does not fit its size
    log.checkpoint_invalid  not a checkpoint, or of another log or size
    log.signature_invalid   no signature by the log's key, or a wrong one
    log.note_invalid        not a signed note
    log.key_invalid         not a signer or verifier key, or of another log
    log.name_invalid        a log id that cannot be a directory
    log.segment_unreadable  a segment is not one whole gzip member
    log.proof_invalid       a proof that proves nothing
    log.not_included        no such leaf or size in the tree
    witness.unavailable     a witness does not answer now; asked again later
    witness.refused         a witness does not cosign
    witness.malformed       not a request that a witness could judge

All but `log.sink_unavailable` freeze the log they are met in while publishing.
What a verifier names in a copy is listed in `findings`.
"""
