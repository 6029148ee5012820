"""The package as a whole: what a wheel installs, and who imports whom."""

import ast
import importlib
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery_sagemaker.runtime import exceptions

ROOT = Path(__file__).parents[2]
NAME = "celery_sagemaker"
#: What each folder may import of the others while it is being imported.
MAY_IMPORT: dict[str, set[str]] = {
    "channels": set(),
    "runtime": set(),
    "config": {"runtime"},
    "tasks": {"runtime", "config", "channels"},
    "workers": {"runtime", "config", "tasks", "channels"},
    "local": {"runtime"},
}
#: What it may import in a function besides: the command line starts the local stack.
MAY_IMPORT_LATE: dict[str, set[str]] = {"workers": {"local"}}
#: Left behind when the checkout is copied.
NOT_SOURCE = (".git", ".venv*", ".uv", "build", "dist", "*.egg-info", "__pycache__", ".*_cache")
FOLDERS = sorted(MAY_IMPORT)
MODULES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Build the wheel from a copy of the checkout; return the names in it."""
    source = tmp_path_factory.mktemp("source") / "checkout"
    out = tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(*NOT_SOURCE))
    build = f"import setuptools.build_meta as b; b.build_wheel({str(out)!r})"
    subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True)
    (built,) = out.glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        return archive.namelist()


def test_the_wheel_claims_one_name(wheel: list[str]) -> None:
    """An installation adds ``celery_sagemaker`` and its metadata to site-packages, no more."""
    tops = {name.split("/")[0] for name in wheel}
    assert {top for top in tops if not top.endswith(".dist-info")} == {NAME}
    assert len(tops) == 2


def test_the_wheel_is_whole(wheel: list[str]) -> None:
    """Every module, Lua script and type marker of the checkout is in the wheel."""
    wanted = {
        f"{NAME}/{path.relative_to(ROOT)}"
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".py", ".lua", ".toml"} or path.name == "py.typed"
    }
    assert wanted - set(wheel) == set()
    assert {f"{NAME}/{folder}/py.typed" for folder in FOLDERS} <= set(wheel)


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Find the folders of ours that a module imports, and whether it does so late."""
    tree = ast.parse(path.read_text(), str(path))
    late = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or is_type_checking(node)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        for target in targets(node, path):
            if target[:1] == [NAME] and len(target) > 1:
                yield target[1], id(node) in late


def is_type_checking(node: ast.AST) -> bool:
    """Tell whether a node is ``if TYPE_CHECKING:``, whose imports never run."""
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def targets(node: ast.AST, path: Path) -> list[list[str]]:
    """The absolute names that a node imports, as parts."""
    if isinstance(node, ast.Import):
        return [alias.name.split(".") for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    module = (node.module or "").split(".") if node.module else []
    if node.level:
        package = [NAME, *path.relative_to(ROOT).parent.parts]
        module = [*package[: len(package) - node.level + 1], *module]
    return [[*module, alias.name] for alias in node.names]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path: Path) -> None:
    """A folder knows those it stands on: runtime, config, tasks, workers; local: runtime."""
    folder = path.relative_to(ROOT).parts[0]
    allowed = MAY_IMPORT[folder] | {folder}
    for target, late in imports(path):
        also = MAY_IMPORT_LATE.get(folder, set()) if late else set()
        assert target in allowed | also, f"{path} imports {target}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_of_ours_are_relative(path: Path) -> None:
    """No module can load under two names."""
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import | ast.ImportFrom) and not getattr(node, "level", 0):
            assert all(target[0] != NAME for target in targets(node, path)), ast.unparse(node)


@pytest.mark.parametrize("folder", ["config", "tasks"])
def test_a_web_process_loads_little(folder: str) -> None:
    """Whoever only sends tasks loads no AWS client, no server, and nothing for batch records."""
    heavy = ["aiohttp", "boto3", "moto", "starlette", "uvicorn", "typer", "rich", "sklearn"]
    heavy += ["jsonpath", "regex"]
    code = f"import sys, {NAME}.{folder}; print([n for n in {heavy} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_no_two_errors_share_a_code() -> None:
    """A code in the ledger, or on a reader's channel, is rebuilt as the class that wrote it."""
    for path in MODULES:
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts[-1] in {"exceptions", "errors"}:
            importlib.import_module(".".join([NAME, *parts]))
    found = [
        cls.code for cls in _below(exceptions.InferenceError) if cls.__module__.startswith(NAME)
    ]
    assert sorted(found) == sorted(set(found))
    assert "UnknownJob" in found


def _below(cls: type[exceptions.InferenceError]) -> Iterator[type[exceptions.InferenceError]]:
    for below in cls.__subclasses__():
        yield below
        yield from _below(below)
