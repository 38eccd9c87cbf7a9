-- What the service remembers of itself over restarts: one JSON object by name.
CREATE TABLE note (
    name TEXT NOT NULL PRIMARY KEY,
    body TEXT NOT NULL
) STRICT, WITHOUT ROWID;

PRAGMA user_version = 3;
