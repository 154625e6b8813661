"""Settings of the API that wbd offers, and of the internal API that it calls."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr

from wbd.settings.kinds import Iri, Port, Seconds
from wbd.settings.subject import Subject


class Api(Subject):
    """API: the address of health and metrics, and calls of the internal API."""

    internal_service_api_key: SecretStr | None = Field(None, description="key for the internal API")
    django_app_backend_url: Iri = Field("http://localhost:8000", description="the internal API")
    api_timeout: Seconds = Field(30.0, description="seconds that a call of the internal API may take")
    api_retry_attempts: int = Field(3, ge=0, le=100, description="retries of a call of the internal API")
    api_host: Literal["127.0.0.1", "::1", "localhost", "0.0.0.0", "::"] = Field(
        "127.0.0.1", description="address that the API listens on"
    )
    metrics_port: Port = Field(8080, description="port of the API: health and metrics")
