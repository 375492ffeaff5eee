/**
 * The tables of an index (`index.sqlite`). Row p of every generation's vector file is the content with id p + 1. Numbers of
 * bytes, pixels and milliseconds are whole; texts are UTF-8.
 */

/** Raised when a program of before would read something else than was meant. */
export const indexVersion = 1

/** "MCLI": what SQLite's header says of the file. */
export const applicationId = 0x4d434c49

export const schema = `
  CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

  -- Folders that are indexed, and when all of each was last walked.
  CREATE TABLE roots (id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, walked TEXT);

  -- One row for different bytes. "width" and "height" are as the picture is seen; "taken" is local time of the camera,
  -- "2023-07-14T18:02:11"; places are degrees (WGS84). "copies" counts the files; without any, nothing is found.
  CREATE TABLE contents (
    id INTEGER PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE,
    bytes INTEGER NOT NULL,
    format TEXT NOT NULL,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    orientation INTEGER NOT NULL DEFAULT 1,
    taken TEXT,
    camera TEXT,
    lens TEXT,
    latitude REAL,
    longitude REAL,
    caption TEXT,
    keywords TEXT,
    sharpness REAL,
    copies INTEGER NOT NULL DEFAULT 0
  );
  CREATE INDEX contents_taken ON contents(taken);
  CREATE INDEX contents_gone ON contents(id) WHERE copies = 0;

  -- A path below its root, with the size and the time (milliseconds) by which a change is noticed. An id is never used again: a
  -- cursor passes over files whose ids are above the last one that its first page saw.
  CREATE TABLE files (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    root INTEGER NOT NULL REFERENCES roots(id),
    path TEXT NOT NULL,
    size INTEGER NOT NULL,
    mtime REAL NOT NULL,
    content INTEGER NOT NULL REFERENCES contents(id),
    UNIQUE (root, path)
  );
  CREATE INDEX files_content ON files(content);

  CREATE TRIGGER files_added AFTER INSERT ON files BEGIN
    UPDATE contents SET copies = copies + 1 WHERE id = new.content;
  END;
  CREATE TRIGGER files_removed AFTER DELETE ON files BEGIN
    UPDATE contents SET copies = copies - 1 WHERE id = old.content;
  END;
  CREATE TRIGGER files_changed AFTER UPDATE OF content ON files WHEN old.content <> new.content BEGIN
    UPDATE contents SET copies = copies - 1 WHERE id = old.content;
    UPDATE contents SET copies = copies + 1 WHERE id = new.content;
  END;

  -- Files that could not be read, with the reason; tried again when they change, or when a person asks for it.
  CREATE TABLE failures (
    root INTEGER NOT NULL REFERENCES roots(id),
    path TEXT NOT NULL,
    size INTEGER NOT NULL,
    mtime REAL NOT NULL,
    reason TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 1,
    at TEXT NOT NULL,
    PRIMARY KEY (root, path)
  ) WITHOUT ROWID;

  -- Absolute paths of files and folders that a person had forgotten: they are not indexed again.
  CREATE TABLE excluded (path TEXT PRIMARY KEY) WITHOUT ROWID;

  -- Vectors by a model: "source" is what a user called it, "settings" JSON of how pictures are read.
  CREATE TABLE generations (
    id INTEGER PRIMARY KEY,
    state TEXT NOT NULL CHECK (state IN ('active', 'building')),
    model TEXT NOT NULL,
    source TEXT NOT NULL,
    identity TEXT NOT NULL,
    dim INTEGER NOT NULL,
    settings TEXT NOT NULL,
    created TEXT NOT NULL
  );

  -- What cosines are compared with: vectors of prompts, which a name tells, and of some pictures (float32).
  CREATE TABLE background (
    generation INTEGER NOT NULL REFERENCES generations(id) ON DELETE CASCADE,
    kind TEXT NOT NULL CHECK (kind IN ('prompt', 'picture')),
    number INTEGER NOT NULL,
    name TEXT,
    vector BLOB NOT NULL,
    PRIMARY KEY (generation, kind, number)
  ) WITHOUT ROWID;

  -- Words of each file; rowid is the file's id.
  CREATE VIRTUAL TABLE words USING fts5(
    path, caption, content='', contentless_delete=1, tokenize='unicode61 remove_diacritics 2'
  );
`
