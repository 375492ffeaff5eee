/** A source of pictures and vectors by what is in the file or folder. */
import { createReadStream, existsSync } from "node:fs"
import { join } from "node:path"
import { createGunzip } from "node:zlib"
import { UserError } from "../../../core/errors.ts"
import { isDirectory, openRandomAccess } from "../../../host/files/files.ts"
import { openImmich } from "./immich.ts"
import { openJsonl } from "./jsonl.ts"
import { openClipRetrieval, openPair } from "./paired-rows.ts"
import { openRclip } from "./rclip.ts"
import type { ImportSource } from "./source.ts"

export interface SourceOptions {
  /** The parquet file of a `.npy` file; default: the one of its name. */
  readonly table?: string
  /** The column of a parquet file with the pictures' paths; default: the first of the usual names that is there. */
  readonly pathColumn?: string
}

const known =
  "a folder of clip-retrieval, .npy with .parquet, JSONL, rclip's db.sqlite3 or Immich's backup (.sql.gz) was expected"

/** Throws UserError where the source is of no known kind, or damaged where it begins. */
export async function openSource(path: string, { table, pathColumn }: SourceOptions = {}): Promise<ImportSource> {
  if (await isDirectory(path)) {
    if (existsSync(join(path, "img_emb"))) return openClipRetrieval(path, pathColumn)
    throw new UserError(`${path} has no img_emb`, known)
  }
  const head = await headOf(path)
  if (head.startsWith("\x93NUMPY")) return openPair({ vectors: path, table: table ?? tableOf(path) }, pathColumn)
  if (head.startsWith("SQLite format 3\0")) return openRclip(path)
  if (head.startsWith("PGDMP")) {
    throw new UserError(
      `${path} is a dump in PostgreSQL's custom format, and SQL was expected`,
      `pg_restore -f backup.sql ${path}`,
    )
  }
  if (/^\s*\{/.test(head)) return openJsonl(path)
  if (/^(--|SET |COPY |\\)/m.test(head)) return openImmich(path)
  if (head.startsWith("PAR1")) throw new UserError(`${path} has no vectors`, "name the .npy file that belongs to it")
  throw new UserError(`${path} is of no kind that is imported`, known)
}

function tableOf(path: string): string {
  const table = path.replace(/\.npy$/, ".parquet")
  if (table !== path && existsSync(table)) return table
  throw new UserError(
    `there is no ${table === path ? "parquet file" : table} that says what ${path} is of`,
    "name it: --table FILE",
  )
}

/** The beginning of the file, unpacked. */
async function headOf(path: string): Promise<string> {
  const file = openRandomAccess(path)
  const head = Buffer.from(file.read(0, Math.min(64, file.size)))
  file.close()
  if (head[0] !== 0x1f || head[1] !== 0x8b) return head.toString("latin1")
  const stream = createReadStream(path)
  try {
    for await (const chunk of stream.pipe(createGunzip())) return (chunk as Buffer).toString("latin1", 0, 64)
  } catch {
    throw new UserError(`${path} is damaged: it cannot be unpacked`, "copy or make it again")
  } finally {
    stream.destroy()
  }
  return ""
}
