"""`pip install .`: one import name and a console script, built, installed in a fresh environment and used elsewhere."""

from __future__ import annotations

import ast
import importlib
import json
import os
import shutil
import site
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = ("adapters", "domains", "recipes", "data_cards", ".packaging")
FILES = ("cli.py", "entity_adapters.py", "pyproject.toml", "README.md", "LICENSE")
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
OFFLINE = ["--no-index", "--no-deps"]
ROOMS = ("adapters", "domains", "recipes")
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]


def backend() -> ModuleType:
    """The build backend of `.packaging`, as a module."""
    spec = spec_from_file_location("one_package", ROOT / ".packaging" / "one_package.py")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# Names of modules in a source


MODULES = frozenset({"adapters", "adapters.losses", "cli", "domains", "domains.bands", "domains.pathology.domain"})


@pytest.mark.parametrize(
    "source, expected",
    [
        ("from domains.bands import x", "from entity_adapters.domains.bands import x"),
        ("é = 1; from cli import (\n    main,\n)", "é = 1; from entity_adapters.cli import (\n    main,\n)"),
        ("import os, adapters.losses as losses", "import os, entity_adapters.adapters.losses as losses"),
        ("if x: from \\\n  domains import bands", "if x: from \\\n  entity_adapters.domains import bands"),
        ("x = 'domains.pathology.domain:DOMAIN'", "x = 'entity_adapters.domains.pathology.domain:DOMAIN'"),
        ("'''a\n`domains.bands.f`, é `domains`'''", "'''a\n`entity_adapters.domains.bands.f`, é `domains`'''"),
        (
            "x = 'é domains.bands, domains.bands'",
            "x = 'é entity_adapters.domains.bands, entity_adapters.domains.bands'",
        ),
        ("f'python -m domains.bands {x}'", "f'python -m entity_adapters.domains.bands {x}'"),
        ("x = f'see python cli.py fit {x}'", "x = f'see entity-adapters fit {x}'"),
    ],
)
def test_a_module_is_named_by_the_package(source: str, expected: str) -> None:
    assert backend().renamed(source, MODULES) == expected


@pytest.mark.parametrize(
    "source",
    [
        "from . import bands",
        "adapters = domains.bands",
        "x = 'adapters'",
        "x = 'domains.path: wanted'",
        "x = 'cli.py'",
        "group = 'entity_adapters.domains'",
        "x = 'src/domains.bands'",
        "# domains.bands",
        "'known domains.'",
    ],
)
def test_what_names_no_module_stays(source: str) -> None:
    assert backend().renamed(source, MODULES) == source


@pytest.mark.parametrize(
    "source, reason",
    [
        ("import domains.bands", "file.py:1: import domains.bands; wanted `as NAME`"),
        ("\nfrom domains.nothing import x", "file.py:2: there is no module domains.nothing"),
        ("x = 'domains.' + name", "file.py:1: 'domains.' is a piece of a name"),
        ("x = f'domains.{name}'", "is a piece of a name"),
    ],
)
def test_what_cannot_be_renamed_ends_the_build(source: str, reason: str) -> None:
    module = backend()
    with pytest.raises(module.BuildError) as error:
        module.renamed(source, MODULES, "file.py")
    assert reason in str(error.value)


# A checkout


def test_in_a_checkout_the_package_is_another_name_of_the_rooms() -> None:
    import entity_adapters
    from domains.datasets import domain as plain

    assert importlib.import_module("entity_adapters.domains.datasets.domain") is plain
    assert plain.__name__ == "domains.datasets.domain"
    assert plain.__spec__ is not None and plain.__spec__.name == plain.__name__
    assert importlib.import_module("entity_adapters.domains") is importlib.import_module("domains")
    assert entity_adapters.__version__ == VERSION
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("entity_adapters.domains.nothing")
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("entity_adapters.tests")


def test_public_names_are_there() -> None:
    import cli
    import entity_adapters

    assert entity_adapters.main is cli.main and set(entity_adapters.__all__) <= set(dir(entity_adapters))
    with pytest.raises(AttributeError):
        _ = entity_adapters.nothing
    assert callable(entity_adapters.load)


# A wheel


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a build reads, for a build writes beside it."""
    folder = tmp_path_factory.mktemp("build") / "checkout"
    for name in SOURCES:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def sdist(source: Path) -> Path:
    """The source distribution."""
    code = "import sys; sys.path.insert(0, '.packaging'); import one_package; one_package.build_sdist(sys.argv[1])"
    folder = source.parent / "sdist"
    subprocess.run([sys.executable, "-c", code, folder], cwd=source, check=True, stdout=subprocess.DEVNULL)
    (archive,) = folder.iterdir()
    return archive


@pytest.fixture(scope="module")
def wheel(source: Path, sdist: Path) -> Path:
    """The wheel, built from the source distribution alone."""
    folder = source.parent / "wheel"
    subprocess.run([*PIP, "wheel", *OFFLINE, "--no-build-isolation", "-w", folder, sdist], check=True)
    return next(folder.glob("entity_adapters-*.whl"))


@pytest.fixture(scope="module")
def environment(wheel: Path) -> Path:
    """A fresh environment with the wheel; everything else it has from the one that runs, by a path."""
    folder = wheel.parents[1] / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin" / "python"
    install = [*PIP, "--python", python, "install", *OFFLINE, "--no-compile", wheel]
    subprocess.run(install, env=variables(), check=True)
    (packages,) = folder.glob("lib/python3*/site-packages")
    (packages / "others.pth").write_text("\n".join(site.getsitepackages()), encoding="utf-8")
    return folder


def variables() -> dict[str, str]:
    """Those of this process, by which a checkout may not be found."""
    return {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}


def run(environment: Path, folder: Path, *words: object) -> str:
    """What a program of the environment prints, started in another folder than the checkout."""
    command = [environment / "bin" / str(words[0]), *map(str, words[1:])]
    done = subprocess.run(command, env=variables(), cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_holds_every_file_of_the_rooms_under_one_name(wheel: Path, sdist: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.partition("/")[0].endswith(".dist-info")}
        scripts = archive.read(f"entity_adapters-{VERSION}.dist-info/entry_points.txt").decode()
        sources = {name: archive.read(name).decode() for name in names if name.endswith(".py")}
    expected = subprocess.run(["git", "ls-files", *SOURCES[:-1], "cli.py"], cwd=ROOT, capture_output=True, text=True)
    files = {line for line in expected.stdout.splitlines() if (ROOT / line).exists()}
    assert {f"entity_adapters/{name}" for name in (*files, "__init__.py")} <= names
    assert all(name.startswith("entity_adapters/") for name in names)
    assert "entity-adapters = entity_adapters:main" in scripts
    with tarfile.open(sdist) as archive:
        stored = {name.partition("/")[2] for name in archive.getnames()}
    assert files | {*FILES, ".packaging/one_package.py"} <= stored
    for name, text in sources.items():
        imported = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom | ast.Import)]
        tops = {alias.name.partition(".")[0] for node in imported for alias in node.names if type(node) is ast.Import}
        tops |= {str(node.module).partition(".")[0] for node in imported if type(node) is ast.ImportFrom}
        assert not tops & {*ROOMS, "cli"}, name


QUICK = [
    "train.steps=2",
    "train.batch_size=2",
    "train.validate_every=2",
    "train.calibrate=false",
    "domain.crop_px=64",
    "domain.sample_count=6",
]

FIT_AND_LOOK = """
import sys
from importlib.util import find_spec

import entity_adapters

assert [name for name in ("adapters", "domains", "recipes", "cli", "tests") if find_spec(name)] == []
print(entity_adapters.__file__, entity_adapters.__version__)
for words in FIT, ["domains", "check", "data", "--report", "report.html"]:
    assert entity_adapters.main(words) == 0, words

from entity_adapters.domains.crops.normalisers import normaliser_type
from entity_adapters.domains.datasets.cards import find_card
from entity_adapters.domains.datasets.domain import load_domain
from entity_adapters.domains.registry import house_domains
from entity_adapters.recipes.reading.starts import decoder_shape
from entity_adapters.recipes.verbs.doctor import packages

assert normaliser_type("macenko").__module__ == "entity_adapters.domains.pathology.normalise"
listed = {package.extra: package.name for package in packages()}
extras = {"geo", "openslide", "parquet", "log", "cluster", "onnx", "remote", "browser", "video"}
assert {"", *extras} == set(listed), listed
assert listed["parquet"] == "pyarrow", listed
assert find_card("dsb2018_he") is not None and "width" in decoder_shape("entity-small")
for name in (*house_domains(), "leafscans"):
    load_domain(name)
assert not [name for name in sys.modules if name.partition(".")[0] in ("adapters", "domains", "recipes", "cli")]
"""


def install_the_guide(folder: Path) -> None:
    """Put the domain of docs/write-a-domain.md, as pip would, into a folder that modules are imported from."""
    guide = (ROOT / "docs" / "write-a-domain.md").read_text(encoding="utf-8")
    (folder / "leafscans.py").write_text(guide.partition("```python\n")[2].partition("```")[0], encoding="utf-8")
    about = folder / "leafscans-0.1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: leafscans\nVersion: 0.1.0\n", encoding="utf-8")
    (about / "entry_points.txt").write_text(
        "[entity_adapters.domains]\nleafscans = leafscans:DOMAIN\n", encoding="utf-8"
    )


def test_the_main_job_runs_from_another_folder(environment: Path, tmp_path: Path, data: Path) -> None:
    install_the_guide(tmp_path)
    (tmp_path / "data").symlink_to(data)
    fit = ["fit", "--recipe", "pathology", "--out", "run", "domain.stain=macenko", *QUICK]
    (tmp_path / "fit.py").write_text(FIT_AND_LOOK.replace("FIT,", f"{fit},"), encoding="utf-8")
    printed = run(environment, tmp_path, "python", "fit.py")
    assert str(environment) in printed.splitlines()[0] and printed.splitlines()[0].endswith(f" {VERSION}")
    assert "next: entity-adapters predict --adapter run/adapter IMAGE --out run/predictions" in printed
    assert json.loads((tmp_path / "run" / "adapter" / "entity.json").read_text())["domain"] == "pathology"
    assert (tmp_path / "report.html").stat().st_size > 1000
    image = next((data / "images").iterdir())
    run(environment, tmp_path, "entity-adapters", "predict", "--adapter", "run/adapter", image, "--out", "found")
    assert {path.suffix for path in (tmp_path / "found").iterdir()} >= {".geojson", ".tif"}


def test_the_console_script_names_itself(environment: Path, tmp_path: Path) -> None:
    assert "Usage: entity-adapters" in run(environment, tmp_path, "entity-adapters", "--help")
    assert "next: entity-adapters recipes show" in run(environment, tmp_path, "entity-adapters", "recipes", "list")
