"""What --json prints, held against the schema in the tree."""

import json
from pathlib import Path

import kvmexit.conform
from jsonschema import Draft202012Validator

SCHEMA = json.loads(Path(kvmexit.conform.__file__).with_name("conform.schema.json").read_text())


def validated(document):
    """``document``, which is what the schema says."""
    Draft202012Validator(SCHEMA).validate(document)
    return document
