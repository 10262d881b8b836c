"""Writes the lock files beside this script from pyproject.toml: names, versions and hashes, no addresses."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
PROJECT = HERE.parent.parent / "pyproject.toml"
LOCKS = {
    "service.txt": [str(PROJECT)],
    "dev.txt": [str(PROJECT), "--extra", "telemetry", "--group", f"{PROJECT}:dev"],
    "runner.txt": ["--group", f"{PROJECT}:runner"],
    "figures.txt": ["--group", f"{PROJECT}:runner", "--group", f"{PROJECT}:figures"],
}

for name, what in LOCKS.items():
    options = "--universal --generate-hashes --python-version 3.11 --no-header --no-annotate --no-emit-index-url"
    command = [
        "uv",
        "pip",
        "compile",
        "--quiet",
        *options.split(),
        "--no-emit-find-links",
        *what,
        "-o",
        str(HERE / name),
    ]
    subprocess.run([str(Path(sys.executable).with_name("uv")), *command[1:]], check=True)
    assert "://" not in (HERE / name).read_text(), f"{name} carries an address"
