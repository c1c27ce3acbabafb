-- What the dispatcher keeps of commands: the answers bound to idempotency keys (PLT-003 to PLT-005), gap-free number
-- sequences, and the audit trail of every command, accepted or refused (PLT-078).

CREATE TABLE stored_answer (
    client      text        NOT NULL COLLATE "C",
    key         text        NOT NULL COLLATE "C",
    fingerprint bytea       NOT NULL,
    command_id  uuid        NOT NULL,
    answer      json        NOT NULL,
    stored_at   timestamptz NOT NULL,
    PRIMARY KEY (client, key)
);

-- Written in the order of time, so a block-range index, which costs nothing to keep, finds the old ones.
CREATE INDEX stored_answer_age ON stored_answer USING brin (stored_at);

-- Takes the key for this transaction, then looks for its answer: in this order, so that an answer committed while the
-- lock was being taken is seen. One call, because every command makes it.
CREATE FUNCTION open_key(of_client text, of_key text, lock_key bigint, kept_since timestamptz)
    RETURNS TABLE (key_taken boolean, fingerprint bytea, command_id uuid, answer json) LANGUAGE plpgsql AS $$
BEGIN
    key_taken := pg_try_advisory_xact_lock(lock_key);
    SELECT a.fingerprint, a.command_id, a.answer INTO fingerprint, command_id, answer
      FROM stored_answer a WHERE a.client = of_client AND a.key = of_key AND a.stored_at > kept_since;
    RETURN NEXT;
END
$$;

CREATE TABLE number_sequence (
    name  text   NOT NULL COLLATE "C" PRIMARY KEY,
    value bigint NOT NULL
);

CREATE TABLE command_audit (
    transaction     xid8        NOT NULL DEFAULT pg_current_xact_id(),
    position        bigint      NOT NULL GENERATED ALWAYS AS IDENTITY,
    recorded_at     timestamptz NOT NULL,
    command_id      uuid        NOT NULL,
    command         text        NOT NULL,
    outcome         text        NOT NULL CHECK (outcome IN ('ACCEPTED', 'REPLAYED', 'DRY_RUN', 'REFUSED', 'FAILED')),
    layer           text,
    codes           text[]      NOT NULL DEFAULT '{}',
    actor_kind      text        NOT NULL,
    actor           text        NOT NULL,
    person          text,
    client          text        NOT NULL,
    channel         text        NOT NULL,
    address         text,
    session         text,
    on_behalf_of    text,
    idempotency_key text,
    fingerprint     bytea,
    object          text,
    positions       json        NOT NULL DEFAULT '{}',
    duration_us     bigint      NOT NULL,
    correlation_id  uuid        NOT NULL,
    PRIMARY KEY (transaction, position)
);

CREATE INDEX command_audit_command ON command_audit (command_id);
CREATE INDEX command_audit_time ON command_audit USING brin (recorded_at);
CREATE INDEX command_audit_actor ON command_audit (actor, recorded_at);

CREATE TRIGGER command_audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON command_audit
    FOR EACH STATEMENT EXECUTE FUNCTION forbid_change();

-- The chain over the audit trail: sealed afterwards in the order (transaction, position), so that commands never wait
-- for one another to be recorded.

CREATE TABLE command_audit_seal (
    sequence      bigint NOT NULL PRIMARY KEY,
    transaction   xid8   NOT NULL,
    position      bigint NOT NULL UNIQUE,
    previous_hash bytea  NOT NULL CHECK (octet_length(previous_hash) = 32),
    hash          bytea  NOT NULL CHECK (octet_length(hash) = 32)
);

CREATE TRIGGER command_audit_seal_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON command_audit_seal
    FOR EACH STATEMENT EXECUTE FUNCTION forbid_change();
