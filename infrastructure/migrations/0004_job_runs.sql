-- Runs of jobs (PLT-051 to PLT-055): what was selected, how far the run is, what it skipped and what failed. One run of
-- a job is active at a time, and each scheduled time starts one run, however many schedulers there are.

CREATE TABLE job_run (
    run_id        uuid        NOT NULL PRIMARY KEY,
    job           text        NOT NULL COLLATE "C",
    state         text        NOT NULL CHECK (state IN ('SCHEDULED', 'RUNNING', 'PAUSED', 'COMPLETED',
                                                        'COMPLETED_WITH_EXCEPTIONS', 'CANCELLED', 'FAILED')),
    run_date      date,
    trigger       text        NOT NULL CHECK (trigger IN ('MANUAL', 'SCHEDULE')),
    started_by    text        NOT NULL,
    scheduled_for timestamptz,
    accounts      text[]      NOT NULL,
    excluded      text[]      NOT NULL,
    started_at    timestamptz NOT NULL,
    ended_at      timestamptz,
    saved_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    selected      bigint      NOT NULL DEFAULT 0,
    done          bigint      NOT NULL DEFAULT 0,
    failed        bigint      NOT NULL DEFAULT 0,
    skipped       json        NOT NULL DEFAULT '{}',
    last_item     text        COLLATE "C",
    failures      json        NOT NULL DEFAULT '[]'
);

CREATE UNIQUE INDEX job_run_active ON job_run (job) WHERE state IN ('SCHEDULED', 'RUNNING', 'PAUSED');
CREATE UNIQUE INDEX job_run_schedule ON job_run (job, scheduled_for) WHERE scheduled_for IS NOT NULL;
CREATE INDEX job_run_time ON job_run (started_at);
