"""Settings: names, sources, refusals, secrets."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from wbd.errors import ConfigError
from wbd.settings.load import load, shown
from wbd.settings.settings import Settings


def env(tmp_path: Path, **values: str) -> dict[str, str]:
    return {"WBD_STATE_DIR": str(tmp_path), **values}


def test_every_default_of_the_documents_is_in_force(tmp_path: Path) -> None:
    settings = load(env(tmp_path)).settings
    assert settings.entity_diff_poll_interval == 60
    assert settings.kafka_entity_diff_topic == "wikibase.entity_diff"
    assert settings.kafka_entitychange_json_topic == "entitybase.entity_change"
    assert settings.streaming_entity_diff_version == "2.0.0"
    assert settings.backlink_stats_schedule == settings.user_stats_schedule == "0 2 * * *"
    assert settings.notification_cleanup_schedule == "0 3 * * *"
    assert (settings.notification_retention_days, settings.backlink_stats_top_limit) == (30, 100)
    assert settings.s3_endpoint == "http://minio:9000"
    assert settings.buckets() == [
        "revisions",
        "statements",
        "references",
        "qualifiers",
        "snaks",
        "terms",
        "sitelinks",
        "lexeme-forms",
        "lexeme-senses",
    ]
    assert (settings.log_level, settings.environment, settings.metrics_port) == ("INFO", "prod", 8080)


def test_the_environment_is_stronger_than_the_file_and_the_file_than_a_running_group(tmp_path: Path) -> None:
    file = tmp_path / "wbd.env"
    file.write_text("KAFKA_BROKERS=file:1\nVITESS_USER=from-file\n")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "stack.json").write_text(
        json.dumps({"kafka_brokers": "stack:1", "vitess_user": "from-stack", "vitess_unix_socket": "/x.sock"})
    )
    loaded = load(env(tmp_path, WBD_SETTINGS_FILE=str(file), KAFKA_BROKERS="env:1"))
    assert loaded.settings.kafka_brokers == "env:1"
    assert loaded.origins["kafka_brokers"] == "environment KAFKA_BROKERS"
    assert loaded.settings.vitess_user == "from-file"
    assert loaded.origins["vitess_user"] == f"file {file}"
    assert loaded.settings.vitess_unix_socket == "/x.sock"
    assert loaded.origins["vitess_unix_socket"].startswith("running group")
    assert loaded.origins["log_level"] == "default"


def test_both_names_of_one_setting_are_accepted(tmp_path: Path) -> None:
    assert load(env(tmp_path, KAFKA_BOOTSTRAP_SERVERS="a:1,b:2")).settings.kafka_brokers == "a:1,b:2"
    assert load(env(tmp_path, KAFKA_TOPIC="changes")).settings.kafka_entitychange_json_topic == "changes"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"KAFKA_BROKER": "a:1"}, "KAFKA_BROKER unknown (environment); did you mean KAFKA_BROKERS?"),
        ({"WBD_STATE": "/x"}, "WBD_STATE unknown (environment)"),
        (
            {"VITESS_PORT": "tcp://10.0.0.1:3306"},
            "vitess_port = 'tcp://10.0.0.1:3306' not allowed; allowed: a whole number from 1 to 65535",
        ),
        ({"LOG_LEVEL": "LOUD"}, "log_level = 'LOUD' not allowed; allowed: DEBUG, INFO, WARNING, ERROR"),
        ({"USER_STATS_SCHEDULE": "daily"}, "allowed: a cron line of five fields"),
        ({"KAFKA_BROKERS": "no-port"}, "allowed: host:port, several separated by commas"),
        ({"S3_TERMS_BUCKET": "Terms!"}, "allowed: 3 to 63 lower-case letters"),
        ({"ENTITY_DIFF_POLL_INTERVAL": "0"}, "= '0' not allowed; allowed: a whole number from 1 to 86400"),
        ({"METRICS_PORT": "abc"}, "metrics_port = 'abc' not allowed; allowed: a whole number from 1 to 65535"),
        ({"METRICS_PORT": "65536"}, "metrics_port = '65536' not allowed; allowed: a whole number from 1 to 65535"),
        ({"IMPORT_MAX_LINE_BYTES": "3"}, "= '3' not allowed; allowed: a whole number from 1024 on"),
        ({"IDS_SOCKET_MODE": "rw"}, "= 'rw' not allowed; allowed: an octal mode from 0000 to 0777, such as 0660"),
        ({"IDS_SOCKET_MODE": "999"}, "= '999' not allowed; allowed: an octal mode"),
        ({"IDS_SOCKET_MODE": "77"}, "= '77' not allowed; allowed: an octal mode"),
        ({"API_TIMEOUT": "soon"}, "= 'soon' not allowed; allowed: seconds over 0, or with a unit: 500ms, 5s, 2m, 1h"),
        ({"API_TIMEOUT": "1.2.3s"}, "= '1.2.3s' not allowed; allowed: seconds over 0"),
        ({"API_TIMEOUT": "-1"}, "= '-1' not allowed; allowed: seconds over 0"),
        ({"USER_STATS_ENABLED": "maybe"}, "= 'maybe' not allowed; allowed: true or false"),
        ({"STREAMING_ENTITY_DIFF_VERSION": "2"}, "= '2' not allowed; allowed: three numbers, such as 2.0.0"),
        ({"WORKER_ID": "x" * 65}, "not allowed; allowed: at most 64 characters"),
    ],
)
def test_a_bad_setting_is_named_with_its_value_and_what_is_allowed(
    tmp_path: Path, given: dict[str, str], expected: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(expected)):
        load(env(tmp_path, **given))


def test_an_unknown_name_in_the_file_is_refused_with_the_file(tmp_path: Path) -> None:
    file = tmp_path / "wbd.env"
    file.write_text("VITES_HOST=x\n")
    with pytest.raises(ConfigError, match=r"VITES_HOST unknown \(.*wbd.env\); did you mean VITESS_HOST"):
        load(env(tmp_path, WBD_SETTINGS_FILE=str(file)))


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("LOG_LEVEL=INFO\n\n\nnot an assignment\n", 4),
        ("VITESS_PASSWORD='hunter2\n", 1),
        ("# a comment\nLOG_LEVEL\n", 2),
        ("LOG_LEVEL: hunter2\n", 1),
    ],
)
def test_a_line_of_the_file_that_is_no_assignment_is_refused_with_its_place_and_without_its_text(
    tmp_path: Path, content: str, line: int
) -> None:
    file = tmp_path / "wbd.env"
    file.write_text(content)
    with pytest.raises(ConfigError, match=rf"wbd.env, line {line}: not NAME=value") as refused:
        load(env(tmp_path, WBD_SETTINGS_FILE=str(file)))
    assert "hunter2" not in str(refused.value)


def test_a_file_may_have_comments_quotes_blank_lines_and_export(tmp_path: Path) -> None:
    file = tmp_path / "wbd.env"
    file.write_text("# ours\n\nexport LOG_LEVEL=DEBUG # loud\n VITESS_USER = 'a # b'\nVITESS_HOST=\n")
    settings = load(env(tmp_path, WBD_SETTINGS_FILE=str(file))).settings
    assert (settings.log_level, settings.vitess_user) == ("DEBUG", "a # b")


def test_a_file_that_is_not_utf_8_is_refused_by_its_name(tmp_path: Path) -> None:
    file = tmp_path / "wbd.env"
    file.write_bytes(b"LOG_LEVEL=\xff\n")
    with pytest.raises(ConfigError, match=r"settings file .*wbd.env: not readable \(not UTF-8\)"):
        load(env(tmp_path, WBD_SETTINGS_FILE=str(file)))


@pytest.mark.parametrize("name", ["log_level", "api_host", "worker_id", "kafka_topic", "ids_socket", "metrics_port"])
def test_two_neighbouring_letters_that_changed_places_are_found_in_the_environment(tmp_path: Path, name: str) -> None:
    for at in range(len(name) - 1):
        if name[at] == name[at + 1]:
            continue
        typo = (name[:at] + name[at + 1] + name[at] + name[at + 2 :]).upper()
        with pytest.raises(ConfigError, match=rf"{typo} unknown \(environment\); did you mean {name.upper()}\?"):
            load(env(tmp_path, **{typo: "x"}))


def test_variables_of_other_programs_are_left_alone(tmp_path: Path) -> None:
    load(env(tmp_path, PATH="/bin", KAFKA_HEAP_OPTS="-Xmx1g", MYSQL_HOST="x", S3_BUCKET="y", HOME="/root"))
    # One letter from one of ours, and nevertheless a name that another program may well use.
    load(env(tmp_path, WORKER_IP="10.0.0.1", API_PORT="80", LOG_LABEL="x", API_HOSE="x", IDS_POCKET="x"))


def test_a_secret_is_never_printed(tmp_path: Path) -> None:
    secret = "hunter2-hunter2"
    settings = load(env(tmp_path, VITESS_PASSWORD=secret, S3_SECRET_KEY=secret)).settings
    assert secret not in repr(settings) + str(settings.model_dump())
    assert shown(settings, "vitess_password") == "***"
    assert secret not in repr(settings.objects_address())
    with pytest.raises(ConfigError) as refused:
        load(env(tmp_path, DATABASE_URL=f"postgres://u:{secret}@h/d")).settings.database_address()
    assert secret not in str(refused.value)


def test_database_url_is_read(tmp_path: Path) -> None:
    address = load(env(tmp_path, DATABASE_URL="mysql://u:p%40ss@db:3307/wiki")).settings.database_address()
    assert (address.host, address.port, address.user, address.password, address.database) == (
        "db",
        3307,
        "u",
        "p@ss",
        "wiki",
    )


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("postgres://u:hunter2@h/d", "no mysql:// at its beginning"),
        ("mysql://u:hunter2@h:99999/d", "the port is not a number from 1 to 65535"),
        ("mysql://u:hunter2@h:0/d", "the port is not a number from 1 to 65535"),
        ("mysql://u:hunter2@h:x/d", "the port is not a number from 1 to 65535"),
        ("mysql://u:hunt/er2@h/d", "the port is not a number from 1 to 65535"),
        ("mysql://u:hunter2@/d", "no host"),
        ("mysql://h/d", "no user"),
        ("mysql://u:hunter2@h", "no database"),
        ("mysql://u:hunter2@[::1/d", "no host"),
    ],
)
def test_a_bad_database_url_is_refused_at_load_without_its_password(tmp_path: Path, url: str, reason: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load(env(tmp_path, DATABASE_URL=url))
    text = str(refused.value)
    assert f"database_url = *** not allowed: {reason}; allowed: mysql://user:password@host:port/database" in text
    assert "environment DATABASE_URL" in text
    assert "hunt" not in text and "er2" not in text


def test_s3_is_used_once_an_s3_setting_is_given_and_a_folder_otherwise(tmp_path: Path) -> None:
    assert load(env(tmp_path)).settings.objects_address().url == f"file://{tmp_path}/objects"
    assert load(env(tmp_path, S3_ACCESS_KEY="k")).settings.objects_address().url == "s3://"


def test_a_state_dir_too_long_for_unix_sockets_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at most 67, since the path of a Unix socket is limited"):
        load({"WBD_STATE_DIR": "/" + "x" * 80})


def test_a_state_dir_that_cannot_be_made_is_named_with_the_reason_and_what_is_allowed(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    file = tmp_path_factory.mktemp("s") / "file"
    file.touch()
    for folder in ("/proc/nowhere", str(file), str(file / "below")):
        settings = load({"WBD_STATE_DIR": folder}).settings
        for use in (lambda s: s.run_dir, Settings.objects_address):
            with pytest.raises(ConfigError, match=f"wbd_state_dir '{folder}' cannot be used: .*; allowed: a folder"):
                use(settings)
    with pytest.raises(ConfigError, match=r"wbd_state_dir '/xx.*' cannot be used: File name too long; allowed:"):
        load({"WBD_STATE_DIR": "/" + "x" * 300})


def test_the_state_dir_is_open_to_its_owner_only(tmp_path: Path) -> None:
    settings = load({"WBD_STATE_DIR": str(tmp_path / "s")}).settings
    assert settings.run_dir.stat().st_mode & 0o777 == 0o700
    assert settings.state_dir.stat().st_mode & 0o777 == 0o700


def test_durations_are_read_with_their_units(tmp_path: Path) -> None:
    assert load(env(tmp_path, WORKER_POLL_INTERVAL="5s")).settings.worker_poll_interval == 5.0
    assert load(env(tmp_path, WORKER_POLL_INTERVAL="250ms")).settings.worker_poll_interval == 0.25


def test_every_enabled_flag_of_the_documents_exists() -> None:
    flags = {name for name in Settings.model_fields if name.endswith("_enabled")}
    assert flags == {
        "entity_diff_enabled",
        "backlink_stats_enabled",
        "user_stats_enabled",
        "general_stats_enabled",
        "watchlist_consumer_enabled",
        "notification_cleanup_enabled",
    }
