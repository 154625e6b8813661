-- Step 1 of the schema: the tables of the first release. Never edited; later changes are steps of steps.py.
-- Tables of the requirement documents stand as given; a comment gives the reason for each key or column added to them.
-- Common subset of MySQL 8, MariaDB and Vitess: no foreign keys, no triggers, no generated columns.
-- Entity ids and hashes are compared byte by byte (ascii_bin), so indexes stay small and case is never folded.

-- Documents. next_id is the first id that nobody has reserved; current_range_* is the range reserved last.
CREATE TABLE IF NOT EXISTS id_ranges (
    entity_type VARCHAR(50) PRIMARY KEY,
    current_range_start BIGINT UNSIGNED NOT NULL,
    current_range_end BIGINT UNSIGNED NOT NULL,
    next_id BIGINT UNSIGNED NOT NULL,
    range_size BIGINT UNSIGNED NOT NULL DEFAULT 1000,
    updated_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP
);

-- Facts that id_ranges, which must stay as documented, does not hold: reserved_to is the last id that any host has
-- reserved and not given back, imported_to the highest number of an entity that an import created. A next_id at or
-- below reserved_to was moved back by hand, or the table was emptied and made again; ids would repeat, so nothing is
-- reserved until an operator has corrected it. Ids up to imported_to are skipped. reserved_to moves in the transaction
-- that moves next_id; id_ranges is locked first. To correct a refused type, set next_id above reserved_to, as the
-- refusal says. If imported_to is a mistake (a test import of a huge number, since removed), set it to the highest
-- number in use. To start over on purpose, with the entities gone: stop the id workers of every host, delete the
-- type's rows here and in id_ranges, and start the workers again.
CREATE TABLE IF NOT EXISTS id_high_water (
    entity_type VARCHAR(50) PRIMARY KEY,
    reserved_to BIGINT UNSIGNED NOT NULL,
    imported_to BIGINT UNSIGNED NOT NULL,
    updated_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP
);

-- One row per entity. updated_at has microseconds and an index because entity_diff polls by it; shard (0..63, from
-- the entity id) splits that poll between processes; content_hash shows that an import changes nothing, without a read
-- of objects.
CREATE TABLE IF NOT EXISTS entity_head (
    entity_id VARCHAR(50) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    head_revision_id BIGINT UNSIGNED NOT NULL,
    content_hash CHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    shard TINYINT UNSIGNED NOT NULL,
    is_deleted BOOLEAN NOT NULL DEFAULT FALSE,
    is_redirect BOOLEAN NOT NULL DEFAULT FALSE,
    updated_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
    INDEX idx_shard_updated (shard, updated_at, entity_id)
);

-- One row per revision, written once. snapshot_key holds a hash of its object, so two writers that race for one
-- revision number never overwrite each other's object; it is '' for a deletion, which is a revision too. sitelink_id is
-- the hash of the revision's sitelinks, NULL if it has none.
CREATE TABLE IF NOT EXISTS entity_revisions (
    entity_id VARCHAR(50) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    revision_id BIGINT UNSIGNED NOT NULL,
    parent_revision_id BIGINT UNSIGNED NULL,
    operation VARCHAR(20) NOT NULL,
    content_hash CHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    snapshot_key VARCHAR(200) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    snapshot_bytes INT UNSIGNED NOT NULL,
    sitelink_id CHAR(64) CHARACTER SET ascii COLLATE ascii_bin NULL,
    editor_id INT UNSIGNED NULL,
    edit_summary VARCHAR(500) NOT NULL DEFAULT '',
    created_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    PRIMARY KEY (entity_id, revision_id),
    INDEX idx_sitelink (sitelink_id)
);

CREATE TABLE IF NOT EXISTS entity_redirects (
    entity_id VARCHAR(50) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    redirects_to VARCHAR(50) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    INDEX idx_target (redirects_to)
);

-- Documents. entity_id has a statement whose value is backlink_id: the documents count per backlink_id.
CREATE TABLE IF NOT EXISTS entity_backlinks (
    entity_id VARCHAR(50) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    backlink_id VARCHAR(50) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    property_id VARCHAR(50) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    added_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    PRIMARY KEY (entity_id, backlink_id, property_id),
    INDEX idx_backlink (backlink_id, property_id)
);

-- Parts of the heads. Each row belongs to one entity, so an edit locks and shards with its entity alone and a replay is
-- harmless; ref_count is the number of uses in that entity's head, SUM(ref_count) the total.
CREATE TABLE IF NOT EXISTS statement_content (
    entity_id VARCHAR(50) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    statement_id VARCHAR(100) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    property_id VARCHAR(50) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    content_hash CHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    ref_count INT UNSIGNED NOT NULL DEFAULT 1,
    PRIMARY KEY (entity_id, statement_id),
    INDEX idx_property (property_id),
    INDEX idx_content (content_hash)
);

CREATE TABLE IF NOT EXISTS qualifiers (
    entity_id VARCHAR(50) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    content_hash CHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    property_id VARCHAR(50) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    ref_count INT UNSIGNED NOT NULL,
    PRIMARY KEY (entity_id, content_hash),
    INDEX idx_content (content_hash)
);

-- The documents' name is a reserved word: every statement quotes it.
CREATE TABLE IF NOT EXISTS `references` (
    entity_id VARCHAR(50) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    content_hash CHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    ref_count INT UNSIGNED NOT NULL,
    PRIMARY KEY (entity_id, content_hash),
    INDEX idx_content (content_hash)
);

-- Labels, descriptions and aliases of items and properties; term_type is label, description or alias.
CREATE TABLE IF NOT EXISTS terms (
    entity_id VARCHAR(50) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    term_type VARCHAR(20) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    language VARCHAR(50) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    content_hash CHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    value VARCHAR(2500) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    ref_count INT UNSIGNED NOT NULL DEFAULT 1,
    PRIMARY KEY (entity_id, term_type, language, content_hash),
    INDEX idx_type_language (term_type, language)
);

-- Lemmas, form representations and sense glosses; owner_id is the lexeme, form or sense.
CREATE TABLE IF NOT EXISTS lexeme_terms (
    entity_id VARCHAR(50) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    owner_id VARCHAR(50) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    term_type VARCHAR(20) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    language VARCHAR(50) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    content_hash CHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    value VARCHAR(2500) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    ref_count INT UNSIGNED NOT NULL DEFAULT 1,
    PRIMARY KEY (entity_id, owner_id, term_type, language, content_hash),
    INDEX idx_type_language (term_type, language)
);

CREATE TABLE IF NOT EXISTS sitelinks (
    entity_id VARCHAR(50) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    site_id VARCHAR(50) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    title VARCHAR(500) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    content_hash CHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    ref_count INT UNSIGNED NOT NULL DEFAULT 1,
    PRIMARY KEY (entity_id, site_id),
    INDEX idx_site (site_id)
);

-- Documents. last_activity is indexed because the daily count of active users reads by it.
CREATE TABLE IF NOT EXISTS users (
    id INT UNSIGNED PRIMARY KEY,
    username VARCHAR(255) NOT NULL,
    created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    last_activity TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
    INDEX idx_last_activity (last_activity)
);

CREATE TABLE IF NOT EXISTS user_thanks (
    id BIGINT UNSIGNED PRIMARY KEY AUTO_INCREMENT,
    from_user_id INT UNSIGNED NOT NULL,
    to_user_id INT UNSIGNED NOT NULL,
    entity_id VARCHAR(50) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    revision_id BIGINT UNSIGNED NOT NULL,
    created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    UNIQUE KEY uk_thanks (from_user_id, entity_id, revision_id),
    INDEX idx_to_user (to_user_id, created_at)
);

CREATE TABLE IF NOT EXISTS user_statement_endorsements (
    id BIGINT UNSIGNED PRIMARY KEY AUTO_INCREMENT,
    user_id INT UNSIGNED NOT NULL,
    statement_id VARCHAR(100) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    removed_at TIMESTAMP NULL,
    UNIQUE KEY uk_endorsement (user_id, statement_id),
    INDEX idx_statement (statement_id)
);

-- Documents; MySQL 8 takes a default on a TEXT column only as an expression, hence the brackets. idx_entity_enabled
-- serves the consumer's query for the watchers of one entity, which no key of the documents does.
CREATE TABLE IF NOT EXISTS user_watchlist (
    id BIGINT UNSIGNED PRIMARY KEY AUTO_INCREMENT,
    user_id INT UNSIGNED NOT NULL,
    entity_id VARCHAR(50) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    last_notification_at TIMESTAMP NULL,
    is_enabled BOOLEAN NOT NULL DEFAULT TRUE,
    watched_properties TEXT NOT NULL DEFAULT (''),
    UNIQUE KEY uk_watch (user_id, entity_id),
    INDEX idx_user_entity (user_id, entity_id),
    INDEX idx_last_notification (last_notification_at),
    INDEX idx_entity_enabled (entity_id, is_enabled)
);

-- Documents, with uk_event, which makes a replayed change event harmless, and idx_cleanup for the daily deletion.
CREATE TABLE IF NOT EXISTS watchlist_notifications (
    id BIGINT UNSIGNED PRIMARY KEY AUTO_INCREMENT,
    user_id INT UNSIGNED NOT NULL,
    entity_id VARCHAR(50) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    revision_id BIGINT UNSIGNED NOT NULL,
    change_type VARCHAR(50) NOT NULL,
    created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    is_checked BOOLEAN NOT NULL DEFAULT FALSE,
    UNIQUE KEY uk_event (user_id, entity_id, revision_id, change_type),
    INDEX idx_user (user_id, created_at, is_checked),
    INDEX idx_entity (entity_id, created_at),
    INDEX idx_cleanup (is_checked, created_at)
);

CREATE TABLE IF NOT EXISTS user_daily_stats (
    stat_date DATE PRIMARY KEY,
    total_users BIGINT UNSIGNED NOT NULL,
    active_users BIGINT UNSIGNED NOT NULL,
    created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE IF NOT EXISTS general_daily_stats (
    stat_date DATE PRIMARY KEY,
    total_statements BIGINT UNSIGNED NOT NULL,
    total_qualifiers BIGINT UNSIGNED NOT NULL,
    total_references BIGINT UNSIGNED NOT NULL,
    total_items BIGINT UNSIGNED NOT NULL,
    total_lexemes BIGINT UNSIGNED NOT NULL,
    total_properties BIGINT UNSIGNED NOT NULL,
    total_sitelinks BIGINT UNSIGNED NOT NULL,
    total_terms BIGINT UNSIGNED NOT NULL,
    terms_per_language JSON,
    terms_by_type JSON,
    created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE IF NOT EXISTS backlink_statistics (
    entity_id VARCHAR(50) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    backlink_count INT UNSIGNED NOT NULL,
    last_updated TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
    INDEX idx_backlink_count (backlink_count DESC)
);

-- Facts about the installation itself. schema_version is the number of the last step of the schema that was applied.
CREATE TABLE IF NOT EXISTS metadata (
    name VARCHAR(100) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    value VARCHAR(4000) NOT NULL,
    updated_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP
);

-- Events that are committed with the rows they are about and wait for the broker; a row is deleted once the broker has
-- its event.
CREATE TABLE IF NOT EXISTS event_outbox (
    id BIGINT UNSIGNED PRIMARY KEY AUTO_INCREMENT,
    topic VARCHAR(249) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    event_key VARCHAR(100) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    payload MEDIUMBLOB NOT NULL,
    created_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6)
);

-- Progress of the diff of each entity: seen_revision_id is the last revision that was published or set aside as a
-- failure, published_revision_id the last one whose event the broker has, and so the one that consumers hold.
CREATE TABLE IF NOT EXISTS entity_diff_state (
    entity_id VARCHAR(50) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    seen_revision_id BIGINT UNSIGNED NOT NULL,
    published_revision_id BIGINT UNSIGNED NULL,
    updated_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6)
);

-- Revisions that cannot be diffed, set aside with the reason so that the entity's next revisions are not held up.
-- missing: the snapshot was not there; a head whose snapshot appears later is published whole.
CREATE TABLE IF NOT EXISTS entity_diff_failures (
    entity_id VARCHAR(50) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    revision_id BIGINT UNSIGNED NOT NULL,
    reason VARCHAR(2000) NOT NULL,
    missing BOOLEAN NOT NULL DEFAULT FALSE,
    failed_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    PRIMARY KEY (entity_id, revision_id)
);

-- Entities whose head an operator wants published whole; the process that has the entity's shard publishes it and
-- deletes the row.
CREATE TABLE IF NOT EXISTS entity_diff_requests (
    entity_id VARCHAR(50) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    requested_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6)
);

-- The owner of each slot of a worker, and the end of its lease; slots named m:... are the processes that share the
-- others. position is the progress of the slot's work, kept here so that the next owner goes on from it.
CREATE TABLE IF NOT EXISTS worker_leases (
    worker VARCHAR(50) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    slot VARCHAR(100) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    owner VARCHAR(100) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '',
    lease_until TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    position TIMESTAMP(6) NULL,
    PRIMARY KEY (worker, slot)
);
