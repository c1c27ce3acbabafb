-- The offset of the clock of a non-production environment (PLT-050): one row, shared by all its processes.

CREATE TABLE clock_offset (
    only_row     boolean  NOT NULL DEFAULT true PRIMARY KEY CHECK (only_row),
    clock_offset interval NOT NULL
);
