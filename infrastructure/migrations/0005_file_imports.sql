-- Partner files taken in (PLT-098): one row a file, known by the SHA-256 of its bytes, and one row for each thing it
-- says. Nothing of a file is dropped: what has no effect, what was refused and what waits for a person stays here.

CREATE TABLE file_import (
    sha256      text        NOT NULL PRIMARY KEY COLLATE "C" CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    kind        text        NOT NULL,
    format      text        NOT NULL,
    name        text        NOT NULL,
    size        bigint      NOT NULL,
    state       text        NOT NULL CHECK (state IN ('AVAILABLE', 'REJECTED')),
    received_at timestamptz NOT NULL,
    received_by text        NOT NULL,
    scope       text[],
    defects     json        NOT NULL DEFAULT '[]'
);

CREATE TABLE file_step (
    sha256    text    NOT NULL COLLATE "C" REFERENCES file_import,
    number    integer NOT NULL,
    state     text    NOT NULL
        CHECK (state IN ('PENDING', 'DONE', 'NOTED', 'WAITING', 'QUEUED', 'REFUSED', 'FAILED')),
    action    text    NOT NULL,
    line      integer NOT NULL,
    segment   integer NOT NULL,
    payload   json    NOT NULL,
    match_key text    COLLATE "C",
    line_key  text    COLLATE "C",
    code      text,
    result    json    NOT NULL DEFAULT '{}',
    PRIMARY KEY (sha256, number)
);

CREATE INDEX file_step_open ON file_step (sha256, number) WHERE state IN ('PENDING', 'FAILED');
CREATE INDEX file_step_attention ON file_step (state, sha256, number) WHERE state IN ('WAITING', 'QUEUED', 'REFUSED');
CREATE INDEX file_step_match ON file_step (match_key) WHERE match_key IS NOT NULL;
-- A bank line is taken once, whatever file it comes in (ARO-022).
CREATE UNIQUE INDEX file_step_line ON file_step (line_key) WHERE line_key IS NOT NULL;

-- What member numbers are made with where a sender names members by social security number only: made here once, so
-- that the numbers are the same in every file and tell nothing.
CREATE TABLE pseudonym_key (
    only_row boolean NOT NULL DEFAULT true PRIMARY KEY CHECK (only_row),
    key      bytea   NOT NULL CHECK (octet_length(key) = 32)
);
INSERT INTO pseudonym_key (key) VALUES (uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()));
