"""A review as an Adaptive Card. Pure: what is shown depends on what is given."""
