"""Every setting of the grader, read from `GRADER_...` environment variables. Units are in the names.

Only the entrances (command line, migrations) read settings; everything below is given values.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from grader.arrays import load_digits
from grader.errors import AssignmentError, UsageError
from grader.sandbox.limits import Mode, SandboxConfig
from grader.sandbox.starting import missing_runtime

PROJECT = Path(__file__).resolve().parent.parent
_PREFIX = "GRADER_"
_OF_TOOLS = frozenset({"GRADER_SMOKE_TOKEN", "GRADER_SCREENSHOTS", "GRADER_CHROMIUM"})


class Settings(BaseSettings):
    """Settings of the grader."""

    model_config = SettingsConfigDict(env_prefix="GRADER_", extra="ignore")

    reference_dir: Path = Field(PROJECT / "reference", description="Folder of the assignments.")
    runner_python: Path = Field(
        PROJECT / ".venv-runner" / "bin" / "python",
        description="Interpreter of the environment that students' code runs in.",
    )
    runner_uid: Annotated[int, Field(ge=1, le=2**31)] = Field(
        64873, description="User and group number of students' code when the grader itself runs as root."
    )
    secret: SecretStr | None = Field(
        None,
        description="Key of the random inputs, sessions and links, 16 characters or more. Anyone who knows it can "
        "predict inputs. Without it a service makes one and keeps it in its database; commands that grade a file use "
        "`local`.",
    )
    sandbox_mode: Mode = Field(Mode.A, description="Best sandbox mode to use (A, B or C); weaker ones need consent.")
    allow_degraded: bool = Field(
        False, description="Accept mode C (no namespaces): only in a dedicated container without secrets and network."
    )
    landlock: bool = Field(True, description="Use Landlock where the kernel has it.")
    sandbox_debug: bool = Field(False, description="Let the sandbox's own processes write to standard error.")
    parked: Annotated[int, Field(ge=1, le=64)] = Field(2, description="Children kept ready for each runtime.")
    memory_mib: Annotated[int, Field(ge=64, le=65536)] = Field(
        1024, description="Memory that a submission may use above the bare runtime, in MiB."
    )
    mnist_path: Path | None = Field(
        None,
        description="A complete `mnist.npz` as Keras keeps it, for students' code to read in place of the 4,500 digits "
        "that come with Grader.",
    )

    data_dir: Path = Field(PROJECT / "var", description="Folder of the service's database. Made when it is not there.")
    database_url: str = Field(
        "",
        description="Address of the database; empty for SQLite in the data folder (sqlite:///FILE). For several "
        "machines postgresql+psycopg://USER:PASSWORD@HOST:5432/DATABASE: rows, queue and events go there.",
    )
    host: str = Field("127.0.0.1", description="Address that `grader serve` listens at.")
    port: Annotated[int, Field(ge=0, le=65535)] = Field(
        8000, description="Port that `grader serve` listens at; 0: any."
    )
    public_url: str = Field(
        "",
        description="Address under which people reach the service, as https://grader.example.org. Links are made with "
        "it; requests for other hosts are refused; https makes cookies Secure.",
    )
    proxies: Annotated[int, Field(ge=0, le=5)] = Field(
        0, description="Number of reverse proxies before the service whose X-Forwarded-For is believed."
    )
    slots: Annotated[int, Field(ge=0, le=64)] = Field(
        2,
        description="Gradings at once in a process; 0: `grader serve` takes uploads and leaves grading to "
        "`grader worker`.",
    )
    uploads_a_minute: Annotated[int, Field(ge=1, le=10000)] = Field(
        12, description="Uploads of one student taken in a minute; more get 429."
    )
    requests_a_minute: Annotated[int, Field(ge=10, le=1_000_000)] = Field(
        600, description="Requests of one person or address taken in a minute; more get 429."
    )
    metrics_token: SecretStr | None = Field(
        None,
        description="Bearer token that may read /metrics, beside the tokens of the database with the scope metrics.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is logged.")
    log_format: Literal["text", "json"] = Field(
        "text", description="The log's lines: `text` for people, or `json`, one object a line, for what collects logs."
    )
    metrics_port: Annotated[int, Field(ge=0, le=65535)] = Field(
        0, description="Port at which `grader worker` serves /metrics of its own gradings; 0: none."
    )
    metrics_host: str = Field("127.0.0.1", description="Address that GRADER_METRICS_PORT listens at.")
    traces: bool = Field(
        False,
        description="Send OpenTelemetry traces of requests and gradings; needs the extra `telemetry`. The standard "
        "OTEL_... variables say where to.",
    )

    @field_validator("mnist_path", mode="before")
    @classmethod
    def _empty_is_unset(cls, path: object) -> object:
        return None if path == "" else path  # as compose files leave it

    @field_validator("metrics_host")
    @classmethod
    def _empty_is_here(cls, host: str) -> str:
        return host.strip() or "127.0.0.1"  # else it would be every address

    @field_validator("secret")
    @classmethod
    def _long_enough(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None and len(secret.get_secret_value()) < 16:
            raise ValueError("must have 16 characters or more")
        return secret

    @field_validator("public_url")
    @classmethod
    def _an_origin(cls, url: str) -> str:
        url = url.rstrip("/")
        if url and not re.fullmatch(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?", url):
            raise ValueError("must be an address without a path, as https://grader.example.org")
        return url

    @property
    def database(self) -> str:
        """The database's address, the default filled in."""
        return self.database_url or f"sqlite:///{self.data_dir.resolve() / 'grader.sqlite3'}"

    @property
    def own_secret(self) -> bytes | None:
        return None if self.secret is None else self.secret.get_secret_value().encode()

    @field_validator("sandbox_mode")
    @classmethod
    def _isolating(cls, mode: Mode) -> Mode:
        if mode is Mode.D:
            raise ValueError("mode D isolates nothing and cannot be chosen; for your own code: --unsafe-own-code")
        return mode

    def absent_runtime(self, runtime: str) -> str | None:
        """Why a runtime cannot be used here and the command that adds it; None when it is installed."""
        if not self.runner_python.exists():
            return f"there is no runner environment at {self.runner_python}; run: make setup"
        packages = self.runner_python.parent.parent.glob("lib*/python3*/site-packages")
        if any((folder / runtime).is_dir() for folder in packages):
            return None
        return missing_runtime(runtime, runtime)

    def sandbox(self, *, unsafe_own_code: bool = False, parked: int | None = None) -> SandboxConfig:
        return SandboxConfig(
            runner_python=self.runner_python,
            runner_uid=self.runner_uid,
            mode=self.sandbox_mode,
            allow_degraded=self.allow_degraded,
            unsafe_own_code=unsafe_own_code,
            landlock=self.landlock,
            parked=self.parked if parked is None else parked,
            debug=self.sandbox_debug,
            memory_mib=self.memory_mib,
            digits=self._digits(),
        )

    def _digits(self) -> Path | None:
        """An administrator's own digits, looked at once. Raises UsageError saying what is wrong with the file."""
        if self.mnist_path is None:
            return None
        try:
            load_digits(self.mnist_path.resolve())
        except AssignmentError as error:
            raise UsageError(f"GRADER_MNIST_PATH: {error}") from None
        return self.mnist_path.resolve()


def misspelled(variables: Iterable[str]) -> list[str]:
    """A sentence for each variable that looks like a setting and is none, with the name that was probably meant."""
    real = [f"{_PREFIX}{name.upper()}" for name in Settings.model_fields]
    said = []
    for name in sorted(variables):
        if name.upper().startswith(_PREFIX) and name.upper() not in {*real, *_OF_TOOLS}:
            nearest = difflib.get_close_matches(name.upper(), real, n=1)
            said.append(f"{name} is not a setting" + (f"; did you mean {nearest[0]}?" if nearest else ""))
    return said


def read_settings() -> Settings:
    """The settings of this process. Raises UsageError naming each variable that is wrong, and why."""
    try:
        return Settings()  # type: ignore[call-arg]  # every field has a default; mypy sees none in Annotated
    except ValidationError as error:
        lines = [f"GRADER_{str(e['loc'][0]).upper()}: {e['msg']}" for e in error.errors()]
        raise UsageError("settings are wrong: " + "; ".join(lines)) from None
