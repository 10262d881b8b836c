"""Settings from the environment: each wrong one is named, and all of them at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from grader.arrays import load_arrays
from grader.errors import UsageError
from grader.sandbox.limits import Mode
from grader.settings import PROJECT, Settings, read_settings


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"GRADER_{name.upper()}", raising=False)


WRONG = {
    "RUNNER_UID": ["0", "-1", "root", "99999999999"],
    "SANDBOX_MODE": ["E", "a", "full", ""],
    "ALLOW_DEGRADED": ["maybe", "2"],
    "LANDLOCK": ["perhaps"],
    "PARKED": ["0", "65", "two", "1.5"],
    "MEMORY_MIB": ["63", "65537", "1G"],
    "SECRET": ["", "fifteen letters"],
    "PORT": ["-1", "65536", "http"],
    "PUBLIC_URL": ["grader.example.org", "ftp://a.example", "https://a.example/path", "https://a b", "https://"],
    "PROXIES": ["-1", "6"],
    "SLOTS": ["-1", "65"],
    "UPLOADS_A_MINUTE": ["0", "many"],
    "REQUESTS_A_MINUTE": ["9", "1e9"],
    "LOG_LEVEL": ["INFO", "loud"],
}


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, values in WRONG.items() for v in values])
def test_a_wrong_setting_is_named(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"GRADER_{name}", value)
    with pytest.raises(UsageError, match=f"GRADER_{name}: "):
        read_settings()


def test_all_wrong_settings_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, values in WRONG.items():
        monkeypatch.setenv(f"GRADER_{name}", values[0])
    with pytest.raises(UsageError) as caught:
        read_settings()
    assert [name for name in WRONG if f"GRADER_{name}" not in str(caught.value)] == []


@pytest.mark.parametrize(
    ("name", "value", "field", "expected"),
    [
        ("RUNNER_UID", "1000", "runner_uid", 1000),
        ("RUNNER_PYTHON", "/opt/python", "runner_python", Path("/opt/python")),
        ("SANDBOX_MODE", "B", "mode", Mode.B),
        ("ALLOW_DEGRADED", "1", "allow_degraded", True),
        ("LANDLOCK", "0", "landlock", False),
        ("PARKED", "7", "parked", 7),
        ("MEMORY_MIB", "256", "memory_mib", 256),
    ],
)
def test_every_setting_reaches_the_sandbox(
    name: str, value: str, field: str, expected: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert getattr(read_settings().sandbox(), field) != expected
    monkeypatch.setenv(f"GRADER_{name}", value)
    assert getattr(read_settings().sandbox(), field) == expected


def test_an_administrators_digits_are_looked_at(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert read_settings().sandbox().digits is None
    shipped = PROJECT / "reference" / "data" / "mnist_5k.npz"
    monkeypatch.setenv("GRADER_MNIST_PATH", str(shipped))
    assert read_settings().sandbox().digits == shipped
    for content in (None, b"", b"no archive"):
        wrong = tmp_path / "mnist.npz"
        if content is not None:
            wrong.write_bytes(content)
        monkeypatch.setenv("GRADER_MNIST_PATH", str(wrong))
        load_arrays.cache_clear()
        with pytest.raises(UsageError, match=r"GRADER_MNIST_PATH: .*mnist\.npz is (missing|not an \.npz file)"):
            read_settings().sandbox()


def test_consent_to_no_isolation_is_never_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADER_UNSAFE_OWN_CODE", "1")
    assert read_settings().sandbox().unsafe_own_code is False
    assert read_settings().sandbox(unsafe_own_code=True).unsafe_own_code is True


def test_the_secret_does_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADER_SECRET", "a-very-secret-word")
    settings = read_settings()
    assert settings.own_secret == b"a-very-secret-word"
    assert "very-secret" not in repr(settings) + str(settings.model_dump())


def test_the_database_lies_in_the_data_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert read_settings().database == f"sqlite:///{PROJECT / 'var' / 'grader.sqlite3'}"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRADER_DATA_DIR", "data")
    assert read_settings().database == f"sqlite:///{tmp_path / 'data' / 'grader.sqlite3'}"
    monkeypatch.setenv("GRADER_DATABASE_URL", "sqlite:////elsewhere/db")
    assert read_settings().database == "sqlite:////elsewhere/db"


def test_a_public_address_needs_no_slash(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_settings().public_url == ""
    for given in ("https://grader.example.org", "https://grader.example.org/"):
        monkeypatch.setenv("GRADER_PUBLIC_URL", given)
        assert read_settings().public_url == "https://grader.example.org"


def test_only_loopback_is_listened_at_by_default() -> None:
    settings = read_settings()
    assert (settings.host, settings.port, settings.proxies) == ("127.0.0.1", 8000, 0)


def test_the_metrics_token_does_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADER_METRICS_TOKEN", "a-metrics-token")
    settings = read_settings()
    assert settings.metrics_token is not None
    assert settings.metrics_token.get_secret_value() == "a-metrics-token"
    assert "a-metrics-token" not in repr(settings) + str(settings.model_dump())


def test_every_setting_is_described() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


@pytest.mark.usefixtures("python")
class TestAbsentRuntime:
    @pytest.fixture
    def python(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setenv("GRADER_RUNNER_PYTHON", str(tmp_path / "bin" / "python"))
        return tmp_path / "bin" / "python"

    def environment(self, tmp_path: Path, *packages: str) -> Settings:
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin" / "python").touch()
        for name in packages:
            (tmp_path / "lib" / "python3.11" / "site-packages" / name).mkdir(parents=True)
        return read_settings()

    def test_no_environment(self) -> None:
        said = read_settings().absent_runtime("numpy")
        assert "make setup" in str(said)

    @pytest.mark.parametrize(
        ("runtime", "absent"), [("numpy", None), ("tensorflow", "run: make setup"), ("torch", "make setup TORCH=1")]
    )
    def test_what_is_missing_and_the_command_that_adds_it(
        self, tmp_path: Path, runtime: str, absent: str | None
    ) -> None:
        said = self.environment(tmp_path, "numpy").absent_runtime(runtime)
        assert said is None if absent is None else absent in str(said)
