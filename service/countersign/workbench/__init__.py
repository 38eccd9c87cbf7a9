"""What policy authors work with, apart from any running service.

Each module is one act on a policy: checking it, testing it, explaining a
decision, telling what a change would have changed. Called by the command line;
a service never imports it.
"""
