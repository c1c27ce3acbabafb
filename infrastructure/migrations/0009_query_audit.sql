-- Queries that were answered with personal data, and views of invoices: who asked what, about whom (PLT-079, INV-235).
-- Append-only and sealed like the trail of commands.

CREATE TABLE query_audit (
    transaction    xid8        NOT NULL DEFAULT pg_current_xact_id(),
    position       bigint      NOT NULL GENERATED ALWAYS AS IDENTITY,
    recorded_at    timestamptz NOT NULL,
    actor_kind     text        NOT NULL,
    actor          text        NOT NULL,
    person         text,
    client         text        NOT NULL,
    address        text,
    session        text,
    query          json        NOT NULL,
    classes        text[]      NOT NULL,
    objects        text[]      NOT NULL,
    object_count   integer     NOT NULL,
    duration_us    bigint      NOT NULL,
    correlation_id uuid        NOT NULL,
    PRIMARY KEY (transaction, position)
);

CREATE INDEX query_audit_time ON query_audit USING brin (recorded_at);
CREATE INDEX query_audit_actor ON query_audit (actor, recorded_at);
CREATE INDEX query_audit_object ON query_audit USING gin (objects);

CREATE TRIGGER query_audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON query_audit
    FOR EACH STATEMENT EXECUTE FUNCTION forbid_change();

CREATE TABLE query_audit_seal (
    sequence      bigint NOT NULL PRIMARY KEY,
    transaction   xid8   NOT NULL,
    position      bigint NOT NULL UNIQUE,
    previous_hash bytea  NOT NULL CHECK (octet_length(previous_hash) = 32),
    hash          bytea  NOT NULL CHECK (octet_length(hash) = 32)
);

CREATE TRIGGER query_audit_seal_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON query_audit_seal
    FOR EACH STATEMENT EXECUTE FUNCTION forbid_change();
