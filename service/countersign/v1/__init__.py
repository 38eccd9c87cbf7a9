"""The protocol, generated from `proto/countersign/v1` by `make proto`. Not edited by hand."""
