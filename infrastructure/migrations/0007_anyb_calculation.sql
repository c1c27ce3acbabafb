-- When what is not billed yet of an account was last worked out (PRM-124): by whom it was asked stands in the audit
-- trail. `kept` names member records whose figure could not be worked out then, why, and when it last was.

CREATE TABLE anyb_calculation (
    account       text        NOT NULL PRIMARY KEY COLLATE "C",
    calculated_at timestamptz NOT NULL,
    kept          json        NOT NULL DEFAULT '{}'
);
