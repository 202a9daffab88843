"""The rules that keep the code in layers and in small pieces, read off its syntax trees."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Each may import what stands in a line above it, and itself; nothing beside it.
LAYERS = (
    {"errors", "clock"},
    {"http1", "guard", "bodies", "crypto"},
    {"model"},
    {"exchange"},
    {"carrier", "identity", "store", "telemetry", "transform", "upstream"},
    {"issuers", "overload"},
    {"plugin"},
    {"bases"},
    {"graphql"},
    {"plugins", "gateway"},
    {"downstream"},
    {"apps", "control", "database", "health"},
    {"admin"},
    {"process"},
    {"master"},
    {"cli"},
    {"__main__"},
)
RANK = {package: rank for rank, packages in enumerate(LAYERS) for package in packages}

# Off the request path, where aiohttp is the client or the server.
AIOHTTP = {"admin", "apps", "control", "health"}
AIOHTTP_CLIENTS = {
    "proxyd/guard/aiohttp.py",
    "proxyd/issuers/keysets.py",
    "proxyd/telemetry/http_sender.py",
    "proxyd/telemetry/s3_bucket.py",
    "proxyd/upstream/probe.py",
}

MAX_MODULE, MAX_CLASS, MAX_FUNCTION = 400, 300, 60  # lines


@dataclass(frozen=True)
class Module:
    path: str
    package: str
    lines: int
    tree: ast.Module

    def imports(self):
        """Yield (line, dotted name) of everything imported, for type checking only or not."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((node.lineno, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{self.path}:{node.lineno}: relative import"
                yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def load(path: Path) -> Module:
    text = path.read_text()
    name = path.relative_to(ROOT)
    package = name.parts[1].removesuffix(".py")
    return Module(str(name), package, text.count("\n"), ast.parse(text))


MODULES = [load(path) for path in sorted((ROOT / "proxyd").rglob("*.py"))]
IMPORTS = [(module, line, name) for module in MODULES for line, name in module.imports()]


def test_every_package_has_a_layer():
    """A package that no layer names is not checked by anything."""
    assert {module.package for module in MODULES} - {"__init__"} <= RANK.keys()


def test_the_guide_shows_the_layers():
    """docs/architecture.md has them in this order, up to the start of the process."""
    guide = (ROOT / "docs/architecture.md").read_text()
    shown = guide.partition("    errors, clock")[2].partition("\n\n")[0]
    layers = ("errors, clock" + shown).split("<")
    assert [{name.strip() for name in layer.split(",")} for layer in layers] == list(LAYERS[:-1])


def test_imports_only_reach_lower_layers():
    """A module imports its own package and what stands to the left of it."""
    wrong = []
    for module, line, name in IMPORTS:
        parts = name.split(".")
        if parts[0] != "proxyd" or len(parts) < 2 or parts[1].startswith("__"):
            continue
        if parts[1] != module.package and RANK[parts[1]] >= RANK[module.package]:
            wrong.append(f"{module.path}:{line}: {module.package} imports {name}")
    assert wrong == []


def test_plugins_do_not_know_one_another():
    """Only the ordered list in ``plugins/__init__`` imports plugins."""
    wrong = [
        f"{module.path}:{line}: imports {name}"
        for module, line, name in IMPORTS
        if module.package == "plugins" and not module.path.endswith("__init__.py")
        if name.startswith("proxyd.plugins")
    ]
    assert wrong == []


def test_the_codec_does_no_io():
    """``http1`` turns bytes into events and back, and nothing else."""
    banned = {"asyncio", "socket", "ssl", "selectors", "uvloop"}
    wrong = [
        f"{module.path}:{line}: imports {name}"
        for module, line, name in IMPORTS
        if module.package == "http1" and name.split(".")[0] in banned
    ]
    assert wrong == []


def test_aiohttp_stays_off_the_request_path():
    """Only what terminates at the gateway, and named clients, are written in aiohttp."""
    wrong = [
        f"{module.path}:{line}: imports {name}"
        for module, line, name in IMPORTS
        if name.split(".")[0] == "aiohttp"
        and module.package not in AIOHTTP
        and module.path not in AIOHTTP_CLIENTS
    ]
    assert wrong == []


def test_only_the_clock_asks_for_the_time():
    """Time is injected, so that tests can move it; a guard runs in the backend, where there is no clock of ours."""
    wrong = [
        f"{module.path}:{line}"
        for module, line, name in IMPORTS
        if name.split(".")[0] == "time" and module.package not in {"clock", "guard"}
    ]
    assert wrong == []


def test_every_task_has_an_owner():
    """A task that nobody holds may be collected while it runs, and its error is lost."""
    wrong = []
    for module in MODULES:
        for node in ast.walk(module.tree):
            if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Call):
                continue
            called = ast.unparse(node.value.func)
            if called.endswith(("create_task", "ensure_future")) and "group" not in called:
                wrong.append(f"{module.path}:{node.lineno}: {called}")
    assert wrong == []


def test_no_attribute_of_a_protocol_defaults_to_the_word_none():
    """The compiler (mypyc) leaves that out, and its build has no such attribute; a constant that is None it takes."""
    classes = [
        (module, node)
        for module in MODULES
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ClassDef)
    ]
    protocols = {
        node.name
        for _, node in classes
        if any(ast.unparse(base).startswith("Protocol") for base in node.bases)
    }
    wrong = [
        f"{module.path}:{field.lineno}: {field.target.id}"
        for module, node in classes
        for field in node.body
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.value, ast.Constant)
        and field.value.value is None
        if protocols & {name.id for name in ast.walk(field.annotation) if isinstance(name, ast.Name)}
    ]
    assert protocols
    assert wrong == []


def test_constants_of_compiled_modules_are_final():
    """The compiler puts them where they are used; what may change is looked up by its name, with every request."""
    setup = ast.parse((ROOT / "setup.py").read_text())
    (listed,) = (
        ast.literal_eval(node.value)
        for node in setup.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "COMPILED"
    )
    compiled = {f"proxyd/{name}.py" for name in listed}
    assert compiled <= {module.path for module in MODULES}
    wrong = []
    for module in MODULES:
        for node in module.tree.body if module.path in compiled else ():
            target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
            if not isinstance(target, ast.Name) or not target.id.isupper() or target.id == "T":
                continue
            annotation = ast.unparse(node.annotation) if isinstance(node, ast.AnnAssign) else ""
            if not annotation.startswith("Final"):
                wrong.append(f"{module.path}:{node.lineno}: {target.id}")
    assert wrong == []


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.path)
def test_a_module_is_small_and_says_what_it_is(module):
    """Modules, classes and functions stay within what can be read at a sitting; a docstring opens each module."""
    docstring = ast.get_docstring(module.tree)
    sizes = [f"module has {module.lines} lines"] if module.lines > MAX_MODULE else []
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ClassDef):
            limit = MAX_CLASS
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            limit = MAX_FUNCTION
        else:
            continue
        length = node.end_lineno - node.lineno + 1
        if length > limit:
            sizes.append(f"line {node.lineno}: {node.name} has {length} lines")
    assert (sizes, bool(docstring)) == ([], True)


def test_the_median_module_is_short():
    """Half of the modules stay under 150 lines."""
    sizes = sorted(module.lines for module in MODULES)
    assert sizes[len(sizes) // 2] < 150


def test_files_of_tests_have_names_of_their_own():
    """Two of one name cannot be collected in one run."""
    names = [
        path.name
        for path in (ROOT / "tests").rglob("*.py")
        if path.name not in {"conftest.py", "__init__.py"}
    ]
    assert sorted({name for name in names if names.count(name) > 1}) == []
