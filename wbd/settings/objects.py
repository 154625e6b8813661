"""Settings of the object store."""

from __future__ import annotations

import re

from pydantic import Field, SecretStr

from wbd.errors import ConfigError
from wbd.settings.kinds import Bucket, ObjectsAddress
from wbd.settings.process import Process
from wbd.settings.state_dir import StateDir


class Objects(Process):
    """Objects: S3, or a folder; a folder of the state folder where neither is set."""

    objects_url: str | None = Field(None, description="file:///folder or s3://; s3:// when an S3 setting is given")
    s3_endpoint: str = Field("http://minio:9000", description="S3 endpoint")
    s3_access_key: str | None = Field(None, description="S3 access key")
    s3_secret_key: SecretStr | None = Field(None, description="S3 secret key")
    s3_region: str = Field("us-east-1", description="S3 region")
    s3_revisions_bucket: Bucket = Field("revisions", description="bucket of revision snapshots")
    s3_statements_bucket: Bucket = Field("statements", description="bucket of statements")
    s3_references_bucket: Bucket = Field("references", description="bucket of references")
    s3_qualifiers_bucket: Bucket = Field("qualifiers", description="bucket of qualifiers")
    s3_snaks_bucket: Bucket = Field("snaks", description="bucket of snaks")
    s3_terms_bucket: Bucket = Field("terms", description="bucket of terms")
    s3_sitelinks_bucket: Bucket = Field("sitelinks", description="bucket of sitelinks")
    s3_lexeme_forms_bucket: Bucket = Field("lexeme-forms", description="bucket of lexeme forms")
    s3_lexeme_senses_bucket: Bucket = Field("lexeme-senses", description="bucket of lexeme senses")

    @property
    def objects_are_set(self) -> bool:
        return bool(self.objects_url) or bool({"s3_endpoint", "s3_access_key"} & self.model_fields_set)

    def objects_address(self) -> ObjectsAddress:
        """
        Return the address of the object store.

        Raises:
            ConfigError: objects_url is of another kind, or the state folder, which holds the objects where nothing is
                set, cannot be made.
        """
        url = self.objects_url
        if not url:
            if self.objects_are_set:
                url = "s3://"
            else:
                places = StateDir(self.wbd_state_dir)
                places.make_run()
                url = f"file://{places.objects}"
        if not re.match(r"file:///|s3://$", url):
            raise ConfigError(f"objects_url {url!r} not allowed; allowed: file:///folder or s3://")
        secret = self.s3_secret_key.get_secret_value() if self.s3_secret_key else None
        return ObjectsAddress(url, self.s3_endpoint, self.s3_access_key, secret, self.s3_region)

    def buckets(self) -> list[str]:
        """Return every bucket of the requirement documents, in their order."""
        return [getattr(self, name) for name in type(self).model_fields if name.endswith("_bucket")]
