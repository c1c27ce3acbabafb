-- Runs that follow commands: each under the id its command gave it, any number of one job at a time.

ALTER TABLE job_run DROP CONSTRAINT job_run_trigger_check;
ALTER TABLE job_run ADD CONSTRAINT job_run_trigger_check CHECK (trigger IN ('MANUAL', 'SCHEDULE', 'COMMAND'));
DROP INDEX job_run_active;
CREATE UNIQUE INDEX job_run_active ON job_run (job)
    WHERE state IN ('SCHEDULED', 'RUNNING', 'PAUSED') AND trigger <> 'COMMAND';
