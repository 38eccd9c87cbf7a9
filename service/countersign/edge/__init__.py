"""The gRPC edge: authenticate, bound, parse, translate. Judges nothing.

The only importer of the gRPC server. One visible order for every call, in
`rpc`: authenticate, rate, parse, verb, encode; errors become status codes in
`status` and nowhere else.
"""
