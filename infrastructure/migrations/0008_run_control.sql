-- Runs are paused, gone on with and cancelled by operators (PLT-051), and belong to one process at a time: each process
-- that takes a run up raises its fence, and what an earlier one still wants to commit is refused (PLT-053). A run of
-- invoice generation takes the accounts of certain calendars and time zones, whose time it was started for (CAL-001).

ALTER TABLE job_run
    ADD COLUMN fence     bigint NOT NULL DEFAULT 0,
    ADD COLUMN requested text CHECK (requested IN ('PAUSE', 'CANCEL')),
    ADD COLUMN groups    json,
    ADD COLUMN began_at  timestamptz;

-- The scheduler that leads; times are the server's own.
CREATE TABLE scheduler_lease (
    only_row boolean     NOT NULL DEFAULT true PRIMARY KEY CHECK (only_row),
    holder   text        NOT NULL,
    fence    bigint      NOT NULL,
    ends_at  timestamptz NOT NULL
);
