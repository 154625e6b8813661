"""Settings of the database."""

from __future__ import annotations

from pydantic import Field, SecretStr

from wbd.errors import ConfigError
from wbd.settings.kinds import DatabaseAddress, DatabaseUrl, Port, database_from_url
from wbd.settings.subject import Subject


class Database(Subject):
    """Database: MySQL, MariaDB or Vitess; an embedded MariaDB where none is set."""

    vitess_host: str | None = Field(
        None, description="database host (MySQL, MariaDB or Vitess); embedded MariaDB when no database is set"
    )
    vitess_port: Port = Field(3306, description="database port")
    vitess_unix_socket: str | None = Field(None, description="path; used instead of host and port")
    vitess_database: str | None = Field(None, description="database name")
    vitess_user: str | None = Field(None, description="database user")
    vitess_password: SecretStr = Field(SecretStr(""), description="database password")
    database_url: DatabaseUrl | None = Field(None, description="mysql://user:password@host:port/database, instead")
    database_max_connections: int = Field(200, ge=1, le=10_000, description="connections that one process may open")

    @property
    def database_is_set(self) -> bool:
        return bool(self.vitess_host or self.vitess_unix_socket or self.database_url)

    def pool_size(self, wanted: int) -> int:
        """Return how many database connections a process may open that could use *wanted*."""
        return min(wanted, self.database_max_connections)

    def database_address(self) -> DatabaseAddress:
        """Return the address of the database. Raises ConfigError when the settings do not name one."""
        if self.database_url is not None:
            return database_from_url(self.database_url.get_secret_value())
        if not self.database_is_set:
            raise ConfigError("vitess_host missing; set VITESS_HOST (and user, password, database), or start: wbd up")
        missing = [name for name in ("vitess_database", "vitess_user") if not getattr(self, name)]
        if missing:
            raise ConfigError(f"{', '.join(missing)} missing; vitess_host or vitess_unix_socket is set")
        return DatabaseAddress(
            database=self.vitess_database or "",
            user=self.vitess_user or "",
            password=self.vitess_password.get_secret_value(),
            host=self.vitess_host,
            port=self.vitess_port,
            unix_socket=self.vitess_unix_socket,
        )
