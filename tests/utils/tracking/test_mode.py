"""The mode of tracking: who decides, and that a server that misbehaves costs seconds at most."""

import os
import subprocess
import sys
import time

import pytest

from seglab.utils.tracking import mode
from seglab.utils.tracking.mode import Mode, decide_mode, has_credentials

KEYS = {"CLEARML_API_ACCESS_KEY": "key", "CLEARML_API_SECRET_KEY": "secret"}


@pytest.fixture
def nobody(tmp_path):
    """An environment without any settings of ClearML."""
    return {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}


@pytest.fixture
def no_check(monkeypatch):
    """No child process may be started."""

    def refuse(*args, **kwargs):
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess, "Popen", refuse)


@pytest.mark.parametrize(
    ("option", "variables", "expected"),
    [
        ("off", {"SEGLAB_TRACKING": "online", **KEYS}, Mode("off", "--tracking off")),
        ("offline", KEYS, Mode("offline", "--tracking offline")),
        (None, {"SEGLAB_TRACKING": "off", **KEYS}, Mode("off", "SEGLAB_TRACKING=off")),
        (None, {"SEGLAB_TRACKING": " Offline "}, Mode("offline", "SEGLAB_TRACKING=offline")),
        (
            None,
            {"CLEARML_OFFLINE_MODE": "1", **KEYS},
            Mode("offline", "CLEARML_OFFLINE_MODE is set"),
        ),
        (None, {}, Mode("offline", "no ClearML credentials")),
        (None, {"CLEARML_OFFLINE_MODE": "0"}, Mode("offline", "no ClearML credentials")),
        (None, {"CLEARML_API_ACCESS_KEY": "key"}, Mode("offline", "no ClearML credentials")),
        ("online", {}, Mode("offline", "no ClearML credentials")),
        (
            None,
            {"SEGLAB_TRACKING": "onlin", **KEYS},
            Mode("offline", "SEGLAB_TRACKING=onlin is none of off, offline, online"),
        ),
    ],
)
def test_who_decides(option, variables, expected, nobody, no_check) -> None:
    assert decide_mode(option, {**nobody, **variables}) == expected


def test_the_line_says_what_to_do_later() -> None:
    line = decide_mode("offline", {}).line("experiments/h1/1")
    assert line == (
        "tracking: offline (--tracking offline); send later with: "
        "seglab upload-results-to-clearml --run experiments/h1/1"
    )
    assert Mode("offline", "why").line("my runs/1").endswith("--run 'my runs/1'")
    assert Mode("off", "--tracking off").line() == "tracking: off (--tracking off)"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('api { credentials { "access_key" = "KEY", "secret_key" = "S" } }', True),
        ("api.credentials.access_key: KEY", True),
        ('include "/elsewhere.conf"', True),
        ('api {\n credentials {\n  access_key: ""\n secret_key: ""\n}}', False),
        ("api {\n# access_key: KEY\n}", False),
        ("", False),
    ],
)
def test_a_settings_file_with_and_without_credentials(text, expected, tmp_path, nobody) -> None:
    settings = tmp_path / "clearml.conf"
    settings.write_text(text)
    assert has_credentials(nobody) is expected
    assert has_credentials({"CLEARML_CONFIG_FILE": str(settings)}) is expected
    assert has_credentials({"HOME": "/nowhere"}) is False


def test_a_server_that_lets_us_in(stand_in, clearml_environment) -> None:
    assert decide_mode(None, clearml_environment) == Mode("online", stand_in.url, stand_in.url)
    assert set(stand_in.requests) == {"auth.login"}


def test_credentials_of_a_settings_file(stand_in, clearml_environment, tmp_path) -> None:
    environment = {k: v for k, v in clearml_environment.items() if not k.startswith("CLEARML")}
    (tmp_path / "home" / "clearml.conf").write_text(
        f'api {{ api_server: "{stand_in.url}", web_server: "{stand_in.url}"\n'
        'credentials { access_key: "STANDINACCESSKEY", secret_key: "stand-in-secret-key" } }'
    )
    assert decide_mode("online", environment).kind == "online"


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({"CLEARML_API_SECRET_KEY": "wrong"}, "does not accept the credentials"),
        ({"CLEARML_API_HOST": "http://127.0.0.1:9"}, "no server is running there"),
        ({"CLEARML_API_HOST": "http://nowhere.invalid"}, "not known (DNS)"),
    ],
)
def test_a_server_that_is_not_there(variables, reason, clearml_environment) -> None:
    decided = decide_mode("online", {**clearml_environment, **variables})
    assert decided.kind == "offline"
    assert reason in decided.reason
    assert "\n" not in decided.line()


def test_a_certificate_that_is_not_accepted(stand_in, clearml_environment) -> None:
    # The SDK tries such a server for ever.
    address = stand_in.url.replace("http:", "https:")
    decided = decide_mode(None, {**clearml_environment, "CLEARML_API_HOST": address})
    assert decided == Mode("offline", f"the certificate of {address} is not accepted", address)


def test_a_server_that_fails(stand_in, clearml_environment) -> None:
    stand_in.mode = "error"
    decided = decide_mode(None, clearml_environment)
    assert decided.kind == "offline"
    assert "(500: General data error)" in decided.reason


def test_a_server_that_never_answers(stand_in, clearml_environment) -> None:
    stand_in.mode = "hang"
    del clearml_environment["SEGLAB_CLEARML_SECONDS"]
    began = time.monotonic()
    decided = decide_mode(None, clearml_environment)
    assert 5 <= time.monotonic() - began < 8
    assert decided.kind == "offline"
    assert decided.reason == f"{stand_in.url} did not answer within 5 s"


@pytest.mark.parametrize(
    ("text", "seconds"), [("0.5", 0.5), ("", 5), ("soon", 5), ("nan", 5), ("-1", 5), ("inf", 5)]
)
def test_the_limit_can_be_set(text, seconds, monkeypatch, clearml_environment) -> None:
    limits = []

    def run(*args, timeout, **kwargs):
        limits.append(timeout)
        raise OSError

    monkeypatch.setattr(subprocess, "run", run)
    mode.check_connection({**clearml_environment, "SEGLAB_CLEARML_SECONDS": text})
    assert limits == [seconds]


def test_a_check_that_cannot_be_started(monkeypatch, clearml_environment) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    assert "could not be checked" in decide_mode(None, clearml_environment).reason


def test_a_probe_that_says_nothing(monkeypatch, clearml_environment) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/true")
    assert mode.check_connection(clearml_environment) == (None, "the connection check failed")
