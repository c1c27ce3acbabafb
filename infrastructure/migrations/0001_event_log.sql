-- The event log (PLT-023 to PLT-028): one row an event, never changed, never deleted.
--
-- The order of the log is (transaction, position). Writers run side by side, so a row with a lower position may become
-- visible after one with a higher position; readers therefore read only below the oldest transaction still running.
-- "transaction" stands before "position" so that the transaction id is assigned before a position is taken.
-- "payload" is json, not jsonb: the text is kept exactly as written, so that the hashes of the chain verify.

CREATE TABLE event (
    transaction      xid8        NOT NULL DEFAULT pg_current_xact_id(),
    position         bigint      NOT NULL GENERATED ALWAYS AS IDENTITY,
    stream           text        NOT NULL COLLATE "C",
    stream_position  integer     NOT NULL CHECK (stream_position > 0),
    type             text        NOT NULL COLLATE "C",
    schema_version   smallint    NOT NULL CHECK (schema_version > 0),
    event_id         uuid        NOT NULL,
    effective_date   date        NOT NULL,
    recorded_at      timestamptz NOT NULL,
    actor_kind       text        NOT NULL,
    actor            text        NOT NULL,
    client           text        NOT NULL,
    channel          text        NOT NULL,
    on_behalf_of     text,
    command_id       uuid        NOT NULL,
    correlation_id   uuid        NOT NULL,
    causation_id     uuid,
    previous_hash    bytea       NOT NULL CHECK (octet_length(previous_hash) = 32),
    hash             bytea       NOT NULL CHECK (octet_length(hash) = 32),
    payload          json        NOT NULL,
    CONSTRAINT event_pkey PRIMARY KEY (position),
    CONSTRAINT event_stream_position UNIQUE (stream, stream_position)
);

CREATE INDEX event_log_order ON event (transaction, position);
CREATE INDEX event_command ON event (command_id);

-- Inserted once and never updated: no dead rows, but the statistics must follow the growth.
ALTER TABLE event SET (autovacuum_analyze_scale_factor = 0.02);

CREATE FUNCTION forbid_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE TRIGGER event_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON event
    FOR EACH STATEMENT EXECUTE FUNCTION forbid_change();

-- The daily checkpoint over the heads of all streams (PLT-024), and the heads that changed since the one before, so that
-- a later check can name the stream that no longer leads to it.

CREATE TABLE chain_checkpoint (
    taken_on     date        NOT NULL PRIMARY KEY,
    taken_at     timestamptz NOT NULL,
    transaction  xid8        NOT NULL,
    position     bigint      NOT NULL,
    streams      bigint      NOT NULL,
    hash         bytea       NOT NULL CHECK (octet_length(hash) = 32)
);

CREATE TABLE chain_checkpoint_head (
    taken_on        date    NOT NULL REFERENCES chain_checkpoint (taken_on) DEFERRABLE INITIALLY DEFERRED,
    stream          text    NOT NULL COLLATE "C",
    stream_position integer NOT NULL,
    hash            bytea   NOT NULL,
    PRIMARY KEY (taken_on, stream)
);

CREATE TRIGGER chain_checkpoint_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON chain_checkpoint
    FOR EACH STATEMENT EXECUTE FUNCTION forbid_change();
CREATE TRIGGER chain_checkpoint_head_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON chain_checkpoint_head
    FOR EACH STATEMENT EXECUTE FUNCTION forbid_change();

-- An aggregate's state beside its stream, to load long streams faster. Derived: may be emptied at any time.

CREATE TABLE snapshot (
    stream          text        NOT NULL COLLATE "C" PRIMARY KEY,
    stream_position integer     NOT NULL,
    fingerprint     text        NOT NULL,
    state           json        NOT NULL,
    transaction     xid8        NOT NULL,
    recorded_at     timestamptz NOT NULL,
    hash            bytea       NOT NULL
);
