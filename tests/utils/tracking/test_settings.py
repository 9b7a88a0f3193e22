"""What children that import the SDK are given, and what is never recorded."""

import json
import stat
import subprocess
import sys
import time

import pytest

from seglab.utils.tracking.settings import (
    child_environment,
    is_secret_name,
    recorded_environment,
    user_settings,
    without_credentials,
)

# Read by the SDK itself, in a process of its own.
ASK = """
import json, sys
from clearml.backend_api.session.defs import ENV_OFFLINE_MODE
from clearml.config import config_obj, get_cache_dir, running_remotely
from clearml.config.defs import TASK_LOG_ENVIRONMENT
keys = [
    "sdk.development.vcs_repo_detect_async", "sdk.development.report_use_subprocess",
    "sdk.development.log_os_environments", "sdk.apply_environment", "sdk.apply_files",
    "api.http.retries.total", "api.http.retries.backoff_max",
]
print("ANSWER" + json.dumps({
    **{key: config_obj.get(key) for key in keys},
    "access_key": config_obj.get("api.credentials.access_key", None),
    "server": config_obj.get("api.api_server", None),
    "offline": bool(ENV_OFFLINE_MODE.get()),
    "cache": str(get_cache_dir()),
    "remotely": running_remotely(),
    "log_environment": TASK_LOG_ENVIRONMENT.get(),
}))
"""

USER_CONF = """
api {
    api_server: "http://127.0.0.1:1"
    credentials { access_key: "my-access-key", secret_key: "my-secret-key" }
    http { retries { total: 240 } }
}
sdk {
    apply_environment: true
    development { vcs_repo_detect_async: true, log_os_environments: ["*"] }
}
environment { PLANTED: "by the conf" }
"""


def ask_sdk(folder, offline, environment):
    child = child_environment(folder, offline, environment)
    answer = subprocess.run(
        [sys.executable, "-c", ASK], env=child, capture_output=True, text=True, check=True
    ).stdout
    return child, json.loads(answer.rpartition("ANSWER")[2])


def check_traps(settings, folder):
    assert settings["sdk.development.vcs_repo_detect_async"] is False
    assert settings["sdk.development.report_use_subprocess"] is False
    assert settings["sdk.development.log_os_environments"] == []
    assert settings["sdk.apply_environment"] is False
    assert settings["sdk.apply_files"] is False
    assert settings["api.http.retries.total"] == 1
    assert settings["api.http.retries.backoff_max"] == 1
    assert settings["cache"] == str(folder / "session")
    assert settings["remotely"] is False
    assert settings["log_environment"] is None


def test_without_any_settings_of_the_user_the_traps_are_shut(folder, environment):
    _, settings = ask_sdk(folder, True, environment)
    check_traps(settings, folder)
    assert settings["offline"] is True
    assert not settings["access_key"]


AGENT = {
    "CLEARML_TASK_ID": "f" * 32,
    "TRAINS_TASK_ID": "f" * 32,
    "CLEARML_LOG_ENVIRONMENT": "*",
    "CLEARML_PROC_MASTER_ID": "1:" + "f" * 32,
    "CLEARML_OFFLINE_MODE": "0",
    "TRAINS_OFFLINE_MODE": "1",
    "CLEARML_SIMULATE_REMOTE_TASK": "1",
    "CLEARML_VCS_DIFF": "",
    "CLEARML_CACHE_DIR": "/nowhere",
    "LOCAL_RANK": "1",
    "RANK": "1",
    "WORLD_SIZE": "2",
    "TORCHELASTIC_RUN_ID": "x",
}


def test_the_users_settings_are_included_but_not_copied(folder, environment, tmp_path):
    home = tmp_path / 'odd "home" ü'
    home.mkdir()
    (home / "clearml.conf").write_text(USER_CONF)
    child, settings = ask_sdk(folder, False, {**environment, **AGENT, "HOME": str(home)})
    check_traps(settings, folder)
    assert settings["access_key"] == "my-access-key"
    assert settings["server"] == "http://127.0.0.1:1"
    assert settings["offline"] is False
    written = [path for path in folder.rglob("*") if path.is_file()]
    assert [path.name for path in written] == ["clearml_online.conf"]
    assert b"my-" not in written[0].read_bytes()
    assert stat.S_IMODE(written[0].stat().st_mode) == 0o600
    assert not set(AGENT) - {"CLEARML_OFFLINE_MODE", "CLEARML_CACHE_DIR"} & set(child)


def test_offline_nothing_of_the_user_or_an_agent_counts(folder, environment, tmp_path):
    conf = tmp_path / "mine.conf"
    conf.write_text(USER_CONF)
    around = {
        **environment,
        **AGENT,
        "CLEARML_CONFIG_FILE": str(conf),
        "CLEARML_API_ACCESS_KEY": "my-access-key",
        "CLEARML_API_HOST": "http://127.0.0.1:1",
    }
    child, settings = ask_sdk(folder, True, around)
    check_traps(settings, folder)
    assert settings["offline"] is True
    assert not settings["access_key"]
    assert "my-access-key" not in child.values()


def test_settings_that_cannot_be_read_do_not_matter_offline(folder, environment, tmp_path):
    (tmp_path / "home" / "clearml.conf").write_text("api { {{{")
    _, settings = ask_sdk(folder, True, environment)
    check_traps(settings, folder)


def test_a_childs_child_is_given_the_same_settings(folder, environment, tmp_path):
    (tmp_path / "home" / "clearml.conf").write_text(USER_CONF)
    child = child_environment(folder, False, environment)
    _, settings = ask_sdk(folder, False, child)
    assert settings["access_key"] == "my-access-key"
    again, settings = ask_sdk(tmp_path / "other" / "tracking", False, child)
    assert settings["access_key"] == "my-access-key"
    assert again["CLEARML_CONFIG_FILE"] != child["CLEARML_CONFIG_FILE"]


def test_which_settings_are_the_users(environment, tmp_path):
    assert user_settings(environment) is None
    home = tmp_path / "home" / "clearml.conf"
    home.write_text("")
    assert user_settings(environment) == home
    named = tmp_path / "named.conf"
    assert user_settings({**environment, "CLEARML_CONFIG_FILE": str(named)}) is None
    named.write_text("")
    assert user_settings({**environment, "CLEARML_CONFIG_FILE": str(named)}) == named
    assert user_settings({**environment, "TRAINS_CONFIG_FILE": str(named)}) == named
    relative = {"CLEARML_CONFIG_FILE": "$WHERE/named.conf"}
    assert user_settings({**environment, **relative}) is None


def test_only_variables_of_the_list_are_recorded():
    recorded = recorded_environment(
        {
            "OMP_NUM_THREADS": "2",
            "CUDA_VISIBLE_DEVICES": "0",
            "SEGLAB_PETS_COCO": "https://me:s3cr3t@host/data",
            "AWS_SECRET_ACCESS_KEY": "s3cr3t",
            "HOME": "/home/me",
            "CLEARML_API_SECRET_KEY": "s3cr3t",
            "SEGLAB_SECRET": "s3cr3t",
        }
    )
    assert recorded == {
        "CUDA_VISIBLE_DEVICES": "0",
        "OMP_NUM_THREADS": "2",
        "SEGLAB_PETS_COCO": "https://host/data",
    }


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("https://me:s3cr3t@host:8080/a/b.git", "https://host:8080/a/b.git"),
        ("https://s3cr3t@github.com/a/b.git", "https://github.com/a/b.git"),
        ("git+ssh://me:s3cr3t@host/a and http://u:s3cr3t@h", "git+ssh://host/a and http://h"),
        ("train.py --token=s3cr3t --lr=1", "train.py --token=*** --lr=1"),
        ("train.py --api-key s3cr3t --lr 1", "train.py --api-key *** --lr 1"),
        ("train.py --password 's3cr3t two' x", "train.py --password '***' x"),
        ("--cfg-options server.token=s3cr3t a.b=1", "--cfg-options server.token=*** a.b=1"),
        ("AWS_SECRET_ACCESS_KEY=s3cr3t python a.py", "AWS_SECRET_ACCESS_KEY=*** python a.py"),
        ('{"password": "s3cr3t, s3cr3t", "lr": 1}', '{"password": "***", "lr": 1}'),
        ("api_key = 's3cr3t'\nlr = 1", "api_key = '***'\nlr = 1"),
        ("access_key: s3cr3t\nlr: 1", "access_key: ***\nlr: 1"),
        ("https://h/x?access_token=s3cr3t&page=2", "https://h/x?access_token=***&page=2"),
        ('{"accessToken": "s3cr3t"}', '{"accessToken": "***"}'),
        ("--wandb-api-key s3cr3t --x", "--wandb-api-key *** --x"),
        ("Authorization: Bearer s3cr3ts3cr3t", "Authorization: Bearer ***"),
        ("push with ghp_" + "a" * 36, "push with ***"),
        ("AKIAIOSFODNN7EXAMPLE", "***"),
        ("hf_" + "A" * 34, "***"),
    ],
)
def test_credentials_are_taken_out(text, clean):
    assert without_credentials(text) == clean
    assert "s3cr3t" not in without_credentials(text)


@pytest.mark.parametrize(
    "text",
    [
        "git@github.com:a/b.git",
        "https://github.com/a/b.git",
        "train.py --config a.py --seed 1 --resume",
        "num_tokens=100 tokenizer='bpe' passwords_seen=3 keys=5",
        "token_embedding.weight: 3",
        "Epoch(train) [3][10/20] lr: 1.0e-03 loss: 0.5 data_time: 0.01",
        "write to a@b.c, see https://h/p?x=1#y",
        "--secret --lr 1",
    ],
)
def test_what_is_no_secret_stays(text):
    assert without_credentials(text) == text


@pytest.mark.parametrize("unit", ["a.b-", "--x", "--token", "token ", "http", "a" * 50, "- ", '"'])
def test_long_texts_take_no_longer_than_they_are(unit):
    text = (unit * 100_000)[:100_000]
    began = time.perf_counter()
    without_credentials(text)
    assert time.perf_counter() - began < 2  # seconds; trying again at each place takes minutes


@pytest.mark.parametrize("name", ["password", "db.password", "API_KEY", "accessToken", "hf-token"])
def test_names_of_secrets(name):
    assert is_secret_name(name)


@pytest.mark.parametrize("name", ["lr", "tokenizer", "num_tokens", "monkey", "keys", "token_dim"])
def test_names_of_no_secrets(name):
    assert not is_secret_name(name)
