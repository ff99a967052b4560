"""The faults of ``scripts/mutations`` can still be made, and the tests that must notice them are still there."""

import importlib.machinery
import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
loader = importlib.machinery.SourceFileLoader("mutations", str(ROOT / "scripts" / "mutations"))
mutations = importlib.util.module_from_spec(importlib.util.spec_from_loader("mutations", loader))
loader.exec_module(mutations)


@pytest.mark.parametrize("fault", mutations.MUTATIONS, ids=lambda fault: fault.name)
def test_a_fault_can_be_made_and_has_a_test(fault):
    compile(mutations.mutated((ROOT / fault.file).read_text(), fault), fault.file, "exec")
    for test in fault.tests:
        file, name = re.fullmatch(r"([\w/]+\.py)::(\w+)(?:\[[^]]*\])?", test).groups()
        assert f"\ndef {name}(" in (ROOT / file).read_text(), test


def test_a_fault_whose_text_is_not_there_once_is_refused():
    fault = mutations.MUTATIONS[0]
    for text in ("", 2 * fault.old):
        with pytest.raises(ValueError, match="not once"):
            mutations.mutated(text, fault)
