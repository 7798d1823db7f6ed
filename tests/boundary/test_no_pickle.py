"""Nothing that was received is ever executed: no module of ours knows a format that could be.

What Python's own multiprocessing hands to processes that it starts on the same machine is pickled
by that module; nothing of it comes from a member or from a file.
"""

import ast
import dis
import importlib.util
import pickletools
import types
from pathlib import Path

import numpy as np
import pytest

import concord
from concord.base.tensors import TensorSpec, write_tensors
from concord.update.codecs import CODECS

ROOT = Path(concord.__file__).parent
SOURCES = sorted(ROOT.rglob("*.py"))
MODULES = frozenset(
    {
        *("pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"),
        *("yaml", "ruamel", "jsonpickle", "h5py", "xmlrpc", "code", "codeop", "copyreg", "imp"),
    }
)
"""Whoever imports one of these can be made to run what it reads."""
CALLS = frozenset({"eval", "exec", "compile", "__import__", "execfile"})
ATTRIBUTES = {
    "torch": {"load", "save", "jit", "package", "hub"},
    "np": {"load", "save", "savez", "fromfile", "lib"},
    "numpy": {"load", "save", "savez", "fromfile"},
    "pd": {"read_pickle"},
    "dist": {"broadcast_object_list", "all_gather_object", "gather_object", "scatter_object_list"},
}
HIDDEN = frozenset({"pickle", "_pickle", "dill", "marshal", "eval", "exec", "__import__"})
"""As a text in the code: the name that a getattr or an import by name would need."""
DANGEROUS_LOADS = frozenset({"trust_remote_code", "allow_pickle", "weights_only"})


def module_name(path):
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts)


@pytest.fixture(scope="module")
def trees():
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in SOURCES}


def imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name.split(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]


def test_no_module_imports_a_format_that_executes(trees):
    found = {path: set(imported(tree)) & MODULES for path, tree in trees.items()}
    assert {path: names for path, names in found.items() if names} == {}
    assert len(found) > 250, "all of the package was looked at"


def test_no_module_calls_an_interpreter_or_a_loader_of_objects(trees):
    found = []
    for path, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                found += [(path, node.lineno)] * (node.func.id in CALLS)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                found += [(path, node.lineno)] * (node.attr in ATTRIBUTES.get(node.value.id, ()))
            if isinstance(node, ast.keyword) and node.arg in DANGEROUS_LOADS:
                safe = isinstance(node.value, ast.Constant) and (
                    node.value.value is (node.arg == "weights_only")
                )
                found += [] if safe else [(path, node.value.lineno)]
    assert found == []


def code_objects(code):
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from code_objects(constant)


def suspicious(code):
    """Names and texts of one code object that lead to something that executes."""
    for instruction in dis.get_instructions(code):
        name = instruction.argval
        if instruction.opname in ("IMPORT_NAME", "IMPORT_FROM") and isinstance(name, str):
            yield from {name.split(".")[0]} & MODULES
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            yield from {name} & CALLS
    for constant in code.co_consts:
        if isinstance(constant, str):
            yield from {constant} & HIDDEN


def test_no_bytecode_names_one_either():
    """What an alias or a getattr would hide from a look at the source stands in the names."""
    found = []
    for path in SOURCES:
        code = importlib.util.spec_from_file_location(
            module_name(path), path
        ).loader.get_code(module_name(path))  # fmt: skip
        for one in code_objects(code):
            named = set(suspicious(one))
            found += [(path.name, one.co_name, sorted(named))] if named else []
    assert found == []


def test_the_search_finds_what_it_looks_for():
    hidden = compile("import pickle as p\nx = lambda d: p.loads(d)", "x", "exec")
    assert [found for one in code_objects(hidden) for found in suspicious(one)] == ["pickle"]
    called = compile("def f(m):\n    m.eval()\n    return eval(m), getattr(m, 'exec')", "x", "exec")
    assert sorted(n for one in code_objects(called) for n in suspicious(one)) == ["eval", "exec"]
    assert list(imported(ast.parse("from pickle import loads"))) == ["pickle"]


def is_pickle(data):
    """Whether a reader of pickles would get through these bytes."""
    try:
        return any(opcode.name == "STOP" for opcode, _, _ in pickletools.genops(data))
    except Exception:  # noqa: BLE001 - whatever it is, it is no pickle
        return False


@pytest.mark.parametrize("codec", sorted(CODECS))
def test_what_we_write_is_no_pickle(tmp_path, codec):
    values = np.abs(np.random.default_rng(0).normal(size=5000)).astype(np.float32)
    write_tensors(tmp_path / "t", [TensorSpec("w", (5000,))], [values])
    assert not is_pickle((tmp_path / "t").read_bytes())
    assert (tmp_path / "t").read_bytes()[:2] != b"PK", "no archive"
