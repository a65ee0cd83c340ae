//! Lambda's tables in the database.

/// Times are milliseconds since 1970. Values that queries use have columns. The rest is JSON; members that were added later have
/// defaults, so that older rows can be read.
///
/// The `rowid` of `durable_executions` is the order in which executions were started, and in which they are listed.
pub(crate) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS durable_executions (
    arn TEXT PRIMARY KEY,
    function TEXT NOT NULL,
    name TEXT NOT NULL,
    input TEXT NOT NULL,
    running INTEGER NOT NULL,
    owed_at INTEGER,
    times_out_at INTEGER NOT NULL,
    body TEXT NOT NULL,
    UNIQUE (function, name)
) STRICT;
CREATE INDEX IF NOT EXISTS durable_executions_owed ON durable_executions (owed_at) WHERE running;
CREATE INDEX IF NOT EXISTS durable_executions_owed_of ON durable_executions (function, owed_at) WHERE running;
CREATE INDEX IF NOT EXISTS durable_executions_timeout ON durable_executions (times_out_at) WHERE running;
CREATE INDEX IF NOT EXISTS durable_executions_of_function ON durable_executions (function);
CREATE TABLE IF NOT EXISTS durable_operations (
    arn TEXT NOT NULL,
    position INTEGER NOT NULL,
    id TEXT NOT NULL,
    due INTEGER,
    touched INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (arn, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS durable_operations_due ON durable_operations (due) WHERE due IS NOT NULL;
CREATE INDEX IF NOT EXISTS durable_operations_touched ON durable_operations (arn, touched);
CREATE TABLE IF NOT EXISTS durable_events (
    arn TEXT NOT NULL,
    id INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (arn, id)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS durable_retention (
    arn TEXT PRIMARY KEY,
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS durable_retention_until ON durable_retention (until);
CREATE TABLE IF NOT EXISTS lambda_queue (
    id INTEGER PRIMARY KEY,
    due INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS lambda_queue_due ON lambda_queue (due);
CREATE TABLE IF NOT EXISTS lambda_functions (
    name TEXT PRIMARY KEY,
    body TEXT NOT NULL
) STRICT, WITHOUT ROWID;
";
