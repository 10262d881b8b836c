"""A Docker engine for these tests alone, and what an image needs to be built without any image registry.

    with Engine() as engine:
        engine.docker("ps")

The engine has its own socket, its own state and no bridge of its own, changes no firewall rule and forwards nothing, so
the machine's own engine and network stay as they are. Networks made in it connect containers with each other and with
nothing else. Images and layers stay in build/containers, which makes the second run fast; `make clean` removes them.

The base image is a minimal Debian that debootstrap makes from this machine's package mirror. pip's files are fetched
here, by this machine's pip with its configuration, and offered to the build over loopback. So neither the image nor the
repository holds an address.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import http.server
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType

PROJECT = Path(__file__).resolve().parents[2]
KEPT = PROJECT / "build" / "containers"
BASE, IMAGE, POSTGRES = "grader-test/base", "grader-test/grader", "grader-test/postgres"
_PACKAGES = {"dockerd": "docker.io", "docker": "docker.io", "debootstrap": "debootstrap"}
_START_S = 60.0
_PORT = 28473


class NoEngine(Exception):
    """Why no engine can be started here."""


def compose_command() -> list[str]:
    """The compose that is installed, version 2 or 1. Raises NoEngine naming the package."""
    with contextlib.suppress(subprocess.CalledProcessError):
        subprocess.run(["docker", "compose", "version"], check=True, capture_output=True)
        return ["docker", "compose"]
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    raise NoEngine("there is no docker-compose; run: apt-get install docker-compose")


class Engine:
    """A running dockerd. Raises NoEngine when it cannot be had, with the command that helps where there is one."""

    def __enter__(self) -> Engine:
        missing = sorted({package for command, package in _PACKAGES.items() if not shutil.which(command)})
        if missing:
            raise NoEngine(f"not installed: {', '.join(missing)}; run: apt-get install {' '.join(missing)}")
        if os.geteuid() != 0:
            raise NoEngine("dockerd needs root")
        self._compose = compose_command()
        self.folder = Path(tempfile.mkdtemp(prefix="grader-engine-"))
        (KEPT / "state").mkdir(parents=True, exist_ok=True)
        self._log = (self.folder / "log").open("wb")
        self.environment = {
            **os.environ,
            "DOCKER_HOST": f"unix://{self.folder}/socket",
            "DOCKER_CONFIG": str(self.folder / "config"),
            "DOCKER_BUILDKIT": "0",  # the Dockerfile asks for nothing that only BuildKit has
        }
        self._daemon = subprocess.Popen(
            [
                "dockerd", "--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false",
                f"--data-root={KEPT / 'state'}", f"--exec-root={self.folder / 'exec'}",
                f"--pidfile={self.folder / 'pid'}", f"--host={self.environment['DOCKER_HOST']}",
            ],
            stdout=self._log, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            self._wait()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end()

    def _wait(self) -> None:
        deadline = time.monotonic() + _START_S
        while subprocess.run(["docker", "info"], env=self.environment, capture_output=True).returncode != 0:
            if self._daemon.poll() is not None or time.monotonic() > deadline:
                last = (self.folder / "log").read_text(errors="replace").splitlines()[-3:]
                raise NoEngine(f"dockerd does not start here: {' / '.join(last)}")
            time.sleep(0.2)
        self.remove_all()  # of a run that was killed

    def _end(self) -> None:
        if self._daemon.poll() is None:
            with contextlib.suppress(subprocess.CalledProcessError):
                self.remove_all()
            self._daemon.terminate()
            self._daemon.wait(60)
        self._log.close()
        subprocess.run(["umount", str(self.folder / "exec" / "netns" / "default")], capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def remove_all(self) -> None:
        """Every container, volume and network; images stay."""
        if found := self.docker("ps", "--all", "--quiet").split():
            self.docker("rm", "--force", "--volumes", *found)
        if found := self.docker("volume", "ls", "--quiet").split():
            self.docker("volume", "rm", "--force", *found)
        self.docker("network", "prune", "--force")

    def run(
        self,
        command: Sequence[str],
        *,
        check: bool = True,
        timeout_s: float = 900,
        extra: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """A command that talks to this engine, in the project's folder; its output is in the error when it fails."""
        done = subprocess.run(
            command, env={**self.environment, **(extra or {})}, cwd=PROJECT, timeout=timeout_s,
            capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL,
        )  # fmt: skip
        if check and done.returncode:
            raise AssertionError(
                f"{' '.join(command)}: {done.returncode}\n{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
            )
        return done

    def docker(self, *arguments: str, timeout_s: float = 900) -> str:
        return self.run(["docker", *arguments], timeout_s=timeout_s).stdout

    def compose(
        self, *arguments: str, settings: Mapping[str, str], check: bool = True, timeout_s: float = 300
    ) -> subprocess.CompletedProcess[str]:
        """The compose file of the project as it is. settings: what its user would put into .env."""
        command = [*self._compose, "--project-name", "gradertest", "--file", "docker-compose.yml", *arguments]
        return self.run(command, check=check, timeout_s=timeout_s, extra=settings)

    # Images --------------------------------------------------------------------------------------------------------

    def has(self, image: str) -> bool:
        return bool(self.docker("images", "--quiet", image).strip())

    def make_base(self) -> None:
        """A minimal Debian as an image."""
        if self.has(BASE):
            return
        archive = KEPT / "bookworm.tar"
        if not archive.exists():
            with tempfile.TemporaryDirectory(prefix="grader-base-") as folder:
                self.run(["debootstrap", "--variant=minbase", "bookworm", f"{folder}/root", *_mirror()])
                self.run(["tar", "--create", "--directory", f"{folder}/root", "--file", f"{archive}.part", "."])
            Path(f"{archive}.part").rename(archive)
        self.docker("import", str(archive), BASE)

    def make_image(self) -> None:
        """The image of the Dockerfile, with pip's files from this machine."""
        with _offered(wheels()) as address:
            sources = {"BASE": BASE, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": address}
            options = [f"--build-arg={name}={value}" for name, value in sources.items()]
            for build in (["--target=environments", f"--tag={IMAGE}-environments"], [f"--tag={IMAGE}"]):
                self.docker("build", "--network=host", *build, *options, ".", timeout_s=1800)
        self.docker("image", "prune", "--force")  # what had these names before; the layers of a named stage are kept

    def make_postgres(self) -> None:
        """Debian's PostgreSQL behind the interface of the official image."""
        folder = str(Path(__file__).parent / "postgres")
        self.docker("build", "--network", "host", "--tag", POSTGRES, f"--build-arg=BASE={BASE}", folder)


def _mirror() -> list[str]:
    """Where this machine gets bookworm from; empty where it does not, for debootstrap's own."""
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(SITE) $(CODENAME) $(COMPONENT)", "Created-By: Packages"],
        capture_output=True, text=True,
    )  # fmt: skip
    found = [line.split() for line in listed.stdout.splitlines()]
    return [fields[0] for fields in found if fields[1:] == ["bookworm", "main"]][:1]


def wheels() -> Path:
    """A folder with every file that the locks name; fetched again only when a lock changes."""
    locks = [PROJECT / "deploy" / "requirements" / f"{name}.txt" for name in ("figures", "service")]
    stamp = hashlib.sha256(b"".join(lock.read_bytes() for lock in locks)).hexdigest()[:16]
    folder = KEPT / f"wheels-{stamp}"
    if not folder.exists():
        part = KEPT / f"{folder.name}.part"
        for lock in locks:
            options = ["--quiet", "--no-deps", "--require-hashes", "--dest", str(part), "--requirement", str(lock)]
            subprocess.run([sys.executable, "-m", "pip", "download", *options], check=True, cwd=PROJECT)
        part.rename(folder)
    return folder


@contextlib.contextmanager
def _offered(folder: Path) -> Iterator[str]:
    """The folder over HTTP on loopback."""
    handler = functools.partial(_Quiet, directory=str(folder))
    try:  # always the same where it is free, for the address is part of what a kept layer is known by
        opened = http.server.ThreadingHTTPServer(("127.0.0.1", _PORT), handler)
    except OSError:
        opened = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    with opened as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing: pytest's output is for people."""
