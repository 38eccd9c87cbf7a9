"""Countersign: policy decides, a human countersigns, an auditor can prove it."""

__version__ = "0.1.0"
