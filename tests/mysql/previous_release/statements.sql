-- Each kind of write that release 20c0dbc sends, once for one entity (Q1) and one worker, in the order of its life.
-- Id ranges: made, reserved from, given back; then an import raises the high water.
INSERT INTO id_ranges (entity_type, current_range_start, current_range_end, next_id, range_size)
    VALUES ('item', 1, 1, 1, 1000) ON DUPLICATE KEY UPDATE entity_type = VALUES(entity_type);
INSERT INTO id_high_water (entity_type, reserved_to, imported_to) VALUES ('item', 0, 0)
    ON DUPLICATE KEY UPDATE entity_type = VALUES(entity_type);
UPDATE id_ranges SET current_range_start = 1, current_range_end = 1000, next_id = 1001, range_size = 1000
    WHERE entity_type = 'item' AND next_id = 1;
UPDATE id_high_water SET reserved_to = 1000 WHERE entity_type = 'item' AND reserved_to = 0 AND imported_to < 1001;
UPDATE id_ranges SET next_id = 901, current_range_start = 1, current_range_end = 900
    WHERE entity_type = 'item' AND next_id = 1001;
UPDATE id_high_water SET reserved_to = 900 WHERE entity_type = 'item' AND reserved_to = 1000;
INSERT INTO id_high_water (entity_type, reserved_to, imported_to) VALUES ('item', 0, 7)
    ON DUPLICATE KEY UPDATE imported_to = GREATEST(imported_to, VALUES(imported_to));
-- A first revision with its index rows and its event.
INSERT INTO entity_head (entity_id, head_revision_id, content_hash, shard, is_redirect)
    VALUES ('Q1', 5, REPEAT('a', 64), 3, FALSE);
INSERT INTO entity_revisions (entity_id, revision_id, parent_revision_id, operation, content_hash, snapshot_key,
    snapshot_bytes, sitelink_id, editor_id, edit_summary)
    VALUES ('Q1', 5, NULL, 'create', REPEAT('a', 64), 'Q1/r5-0123456789abcdef.json', 900, REPEAT('c', 64), 12, 'first');
INSERT INTO statement_content (entity_id, statement_id, property_id, content_hash, ref_count)
    VALUES ('Q1', 'Q1$a', 'P31', REPEAT('d', 64), 1)
    ON DUPLICATE KEY UPDATE property_id = VALUES(property_id), content_hash = VALUES(content_hash);
INSERT INTO qualifiers (entity_id, content_hash, property_id, ref_count) VALUES ('Q1', REPEAT('e', 64), 'P1', 2)
    ON DUPLICATE KEY UPDATE ref_count = VALUES(ref_count);
INSERT INTO `references` (entity_id, content_hash, ref_count) VALUES ('Q1', REPEAT('f', 64), 1)
    ON DUPLICATE KEY UPDATE ref_count = VALUES(ref_count);
INSERT INTO terms (entity_id, term_type, language, content_hash, value, ref_count)
    VALUES ('Q1', 'label', 'en', REPEAT('1', 64), 'été 🌻', 1) ON DUPLICATE KEY UPDATE value = VALUES(value);
INSERT INTO lexeme_terms (entity_id, owner_id, term_type, language, content_hash, value, ref_count)
    VALUES ('Q1', 'Q1', 'lemma', 'en', REPEAT('1', 64), 'go', 1) ON DUPLICATE KEY UPDATE value = VALUES(value);
INSERT INTO sitelinks (entity_id, site_id, title, content_hash, ref_count)
    VALUES ('Q1', 'enwiki', 'Summer', REPEAT('2', 64), 1) ON DUPLICATE KEY UPDATE title = VALUES(title);
INSERT INTO entity_backlinks (entity_id, backlink_id, property_id) VALUES ('Q1', 'Q5', 'P31')
    ON DUPLICATE KEY UPDATE property_id = VALUES(property_id);
INSERT INTO event_outbox (topic, event_key, payload) VALUES ('entitybase.entity_change', 'Q1', '{"revision_id":5}');
-- An edit, then a deletion.
UPDATE entity_head SET head_revision_id = 7, content_hash = REPEAT('b', 64), is_deleted = FALSE, is_redirect = FALSE
    WHERE entity_id = 'Q1' AND head_revision_id = 5;
DELETE FROM terms WHERE entity_id = 'Q1' AND ((term_type = 'label' AND language = 'en'));
INSERT INTO entity_revisions (entity_id, revision_id, parent_revision_id, operation, content_hash, snapshot_key,
    snapshot_bytes, sitelink_id, editor_id, edit_summary)
    VALUES ('Q1', 7, 5, 'update', REPEAT('b', 64), 'Q1/r7-0123456789abcdef.json', 901, NULL, NULL, '');
INSERT INTO event_outbox (topic, event_key, payload) VALUES ('entitybase.entity_change', 'Q1', '{"revision_id":7}');
UPDATE entity_head SET head_revision_id = 8, content_hash = REPEAT('0', 64), is_deleted = TRUE, is_redirect = FALSE
    WHERE entity_id = 'Q1' AND head_revision_id = 7;
INSERT INTO entity_revisions (entity_id, revision_id, parent_revision_id, operation, content_hash, snapshot_key,
    snapshot_bytes, sitelink_id, editor_id, edit_summary)
    VALUES ('Q1', 8, 7, 'delete', REPEAT('0', 64), '', 0, NULL, 3, 'gone');
INSERT INTO entity_redirects (entity_id, redirects_to) VALUES ('Q1', 'Q2')
    ON DUPLICATE KEY UPDATE redirects_to = VALUES(redirects_to);
-- The outbox is published.
DELETE FROM event_outbox WHERE event_key = 'Q1' AND payload = '{"revision_id":5}';
-- Leases: rows, membership, shares, positions.
INSERT INTO worker_leases (worker, slot) VALUES ('entity_diff', 's:0003') ON DUPLICATE KEY UPDATE slot = slot;
INSERT INTO worker_leases (worker, slot, owner, lease_until)
    VALUES ('entity_diff', 'm:w/1', 'w/1', CURRENT_TIMESTAMP(6) + INTERVAL 30000000 MICROSECOND)
    ON DUPLICATE KEY UPDATE owner = VALUES(owner), lease_until = VALUES(lease_until);
UPDATE worker_leases SET owner = 'w/1', lease_until = CURRENT_TIMESTAMP(6) + INTERVAL 30000000 MICROSECOND
    WHERE worker = 'entity_diff' AND slot LIKE 's:%' AND lease_until <= CURRENT_TIMESTAMP(6) ORDER BY slot LIMIT 64;
UPDATE worker_leases SET position = '2026-01-02 03:04:05.678901'
    WHERE worker = 'entity_diff' AND slot = 's:0003' AND owner = 'w/1';
UPDATE worker_leases SET lease_until = CURRENT_TIMESTAMP(6), owner = '' WHERE worker = 'entity_diff' AND owner = 'w/1';
DELETE FROM worker_leases WHERE worker = 'entity_diff' AND slot = 'm:w/1';
-- Diffs: progress, a failure, a request and its answer.
INSERT INTO entity_diff_state (entity_id, seen_revision_id, published_revision_id) VALUES ('Q1', 7, 5)
    ON DUPLICATE KEY UPDATE seen_revision_id = GREATEST(seen_revision_id, VALUES(seen_revision_id)),
    published_revision_id = NULLIF(GREATEST(COALESCE(published_revision_id, 0),
    COALESCE(VALUES(published_revision_id), 0)), 0);
INSERT INTO entity_diff_failures (entity_id, revision_id, reason, missing) VALUES ('Q1', 7, 'snapshot missing', TRUE)
    ON DUPLICATE KEY UPDATE reason = VALUES(reason), missing = VALUES(missing), failed_at = CURRENT_TIMESTAMP(6);
INSERT INTO entity_diff_requests (entity_id, requested_at) VALUES ('Q1', '2026-01-02 03:04:05.000001')
    ON DUPLICATE KEY UPDATE requested_at = VALUES(requested_at);
DELETE FROM entity_diff_requests WHERE entity_id = 'Q1' AND requested_at = '2026-01-02 03:04:05.000001';
-- Statistics.
INSERT INTO user_daily_stats (stat_date, total_users, active_users) VALUES ('2026-01-02', 5, 3)
    ON DUPLICATE KEY UPDATE total_users = VALUES(total_users), active_users = VALUES(active_users);
-- wbd dev create_tables of that release.
INSERT INTO metadata (name, value) VALUES ('schema_version', '1') ON DUPLICATE KEY UPDATE name = name;
