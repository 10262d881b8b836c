"""Every setting of the grader, read from `GRADER_...` environment variables. Units are in the names.

Only the command line (and later web, worker, migrations) reads settings; everything below is given values.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from grader.errors import UsageError
from grader.sandbox.limits import Mode, SandboxConfig
from grader.sandbox.starting import missing_runtime

PROJECT = Path(__file__).resolve().parent.parent


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
    secret: SecretStr = Field(
        SecretStr("local"),
        description="Key of the random inputs. Anyone who knows it can predict them; a service must set its own.",
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
        )


def read_settings() -> Settings:
    """The settings of this process. Raises UsageError naming each variable that is wrong, and why."""
    try:
        return Settings()  # type: ignore[call-arg]  # every field has a default; mypy sees none in Annotated
    except ValidationError as error:
        lines = [f"GRADER_{str(e['loc'][0]).upper()}: {e['msg']}" for e in error.errors()]
        raise UsageError("settings are wrong: " + "; ".join(lines)) from None
