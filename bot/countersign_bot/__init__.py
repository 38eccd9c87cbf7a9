"""The Teams bot: reviews as cards, clicks as votes, and no state of its own.

It speaks to the service through `Reviews` and `Deliveries` with its own
credential, decides nothing, and holds nothing that a restart could lose: cards
are rebuilt from the service's state. The only package that knows `botbuilder`.
"""
