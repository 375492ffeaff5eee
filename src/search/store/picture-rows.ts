/**
 * The rows of pictures in an index's database: contents, their files with the words of these, and files that could not be read.
 * What is written here is a part of a transaction of the caller.
 */
import type { IndexStore } from "./index-store.ts"

/** What is known of a picture's bytes. */
export interface ContentDetails {
  /** SHA-256. */
  readonly hash: Uint8Array
  readonly bytes: number
  readonly format: string
  /** In pixels, as it is seen. */
  readonly width: number
  readonly height: number
  /** EXIF, 1 to 8. */
  readonly orientation: number
  /** Local time of the camera, "2023-07-14T18:02:11". */
  readonly taken: string | null
  readonly camera: string | null
  readonly lens: string | null
  readonly latitude: number | null
  readonly longitude: number | null
  readonly caption: string | null
  readonly keywords: readonly string[]
  readonly sharpness: number | null
}

/** What files beside a picture may say of it, too. */
export type SaidDetails = Pick<ContentDetails, "taken" | "latitude" | "longitude" | "caption" | "keywords">

export interface NewFile {
  readonly root: number
  /** Below its root. */
  readonly path: string
  readonly size: number
  /** Milliseconds. */
  readonly mtime: number
}

export interface NewPicture {
  readonly content: ContentDetails
  /** A unit vector [dim]; null: none yet, which is a row of NaN. */
  readonly vector: Float32Array | null
  readonly files: readonly NewFile[]
}

/** A file whose bytes the index has. */
export interface NewCopy {
  readonly file: NewFile
  /** The content's id. */
  readonly content: number
}

export interface NewFailure extends NewFile {
  readonly reason: string
}

/** A content with its files. */
export function insertPicture(store: IndexStore, id: number, { content, files }: NewPicture): void {
  store.run(
    `INSERT INTO contents (id, hash, bytes, format, width, height, orientation, taken, camera, lens, latitude, longitude,
       caption, keywords, sharpness) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    ...([id, content.hash, content.bytes, content.format, content.width, content.height] as const),
    ...([content.orientation, content.taken, content.camera, content.lens, content.latitude] as const),
    ...([content.longitude, content.caption, keywordsText(content), content.sharpness] as const),
  )
  for (const file of files) putFile(store, { file, content: id })
}

/** The path has this content from now on, whatever it had. */
export function putFile(store: IndexStore, { file, content }: NewCopy): void {
  const { root, path, size, mtime } = file
  removePath(store, root, path)
  const values = [root, path, size, mtime, content] as const
  store.run("INSERT INTO files (root, path, size, mtime, content) VALUES (?, ?, ?, ?, ?)", ...values)
  store.run("DELETE FROM failures WHERE root = ? AND path = ?", root, path)
  store.run(`${insertWords} WHERE root = ? AND files.path = ?`, root, path)
}

/** The file loses the row that it had: its bytes are others now. */
export function insertFailure(store: IndexStore, { root, path, size, mtime, reason }: NewFailure): void {
  removePath(store, root, path)
  store.run(
    `INSERT INTO failures (root, path, size, mtime, reason, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
     ON CONFLICT (root, path) DO UPDATE SET size = ?3, mtime = ?4, reason = ?5, at = ?6, attempts = attempts + 1`,
    ...([root, path, size, mtime, reason, new Date().toISOString()] as const),
  )
}

export function removeFile(store: IndexStore, id: number): void {
  store.run("DELETE FROM words WHERE rowid = ?", id)
  store.run("DELETE FROM files WHERE id = ?", id)
}

function removePath(store: IndexStore, root: number, path: string): void {
  const before = store.row("SELECT id FROM files WHERE root = ? AND path = ?", root, path)
  if (before) removeFile(store, Number(before.id))
}

/** A content's details and its files' words are these from now on. False where they were. */
export function describeContent(store: IndexStore, id: number, said: SaidDetails): boolean {
  const { taken, latitude, longitude, caption } = said
  const values = [taken, latitude, longitude, caption, keywordsText(said)] as const
  const before = store.row("SELECT taken, latitude, longitude, caption, keywords FROM contents WHERE id = ?", id)!
  if (Object.values(before).every((value, i) => value === values[i])) return false
  const set = "taken = ?, latitude = ?, longitude = ?, caption = ?, keywords = ?"
  store.run(`UPDATE contents SET ${set} WHERE id = ?`, ...values, id)
  renewWords(store, "content", id)
  return true
}

/** The words of all files of a content whose caption changed, or of a root whose paths did. */
export function renewWords(store: IndexStore, of: "content" | "root", id: number): void {
  for (const row of store.rows(`SELECT id FROM files WHERE ${of} = ?`, id))
    store.run("DELETE FROM words WHERE rowid = ?", row.id!)
  store.run(`${insertWords} WHERE ${of} = ?`, id)
}

const insertWords = `INSERT INTO words (rowid, path, caption)
  SELECT files.id, files.path, coalesce(caption, '') || ' ' || coalesce(keywords, '')
  FROM files JOIN contents ON contents.id = content`

function keywordsText({ keywords }: Pick<ContentDetails, "keywords">): string | null {
  return keywords.join(", ") || null
}
