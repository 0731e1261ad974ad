"""Domains are found by their folders, before anything heavy is loaded."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from domains.registry import house_domains, house_specs

ROOT = Path(__file__).parents[2]
LISTED = "import sys; from domains.registry import house_domains; print(*house_domains(), 'torch' in sys.modules)"


def test_a_folder_with_a_domain_file_is_a_domain_and_no_other_file_is_touched(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "domains", tmp_path / "domains", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("gardens", "deserts"):
        (tmp_path / "domains" / name).mkdir()
        (tmp_path / "domains" / name / "domain.py").write_text("DOMAIN = None")
    (tmp_path / "domains" / "notes").mkdir()
    done = subprocess.run([sys.executable, "-c", LISTED], cwd=tmp_path, env={}, capture_output=True, text=True)
    assert done.stdout.split() == [*house_domains(), "deserts", "gardens", "False"], done.stderr


def test_a_domain_is_called_as_its_folder() -> None:
    assert [spec.name for spec in house_specs()] == list(house_domains())
