/**
 * Reads shards of image-text samples, reinforced or not: WebDataset tar, or JSONL that may be compressed with gzip or
 * zstd. A file's format is told by its content, not by its name. Formats: docs/formats.md.
 */
import { constants, gunzipSync } from "node:zlib"
import { UserError } from "../../core/errors.ts"
import type { RandomAccess } from "../../core/random-access.ts"
import { openRandomAccess } from "../../host/files/files.ts"
import type { Compression } from "./jsonl/lines.ts"
import { readJsonl } from "./jsonl/read-jsonl.ts"
import type { Problem, ReinforcedSample } from "./sample.ts"
import { readTar } from "./tar/read-tar.ts"

/**
 * The samples of a local shard, one in memory at a time. Samples that are damaged, cut off or duplicated are left out
 * and reported to `report`; a missing picture or caption does not count as damage. Throws UserError on a file that cannot be
 * read or is not a shard.
 */
export async function* readSamples(
  path: string,
  report: (problem: Problem) => void,
): AsyncGenerator<ReinforcedSample, void> {
  const file = openRandomAccess(path)
  try {
    const format = shardFormat(file)
    if (format === "tar") yield* readTar(file, report)
    else yield* readJsonl(path, format, report)
  } finally {
    file.close()
  }
}

const expected = "a tar archive or a JSONL file (plain, .gz or .zst) was expected"

/** Throws UserError where the file is not a shard. */
export function shardFormat(file: RandomAccess): "tar" | Compression {
  if (file.size === 0) throw new UserError(`${file.name} is empty`, expected)
  const head = Buffer.from(file.read(0, Math.min(file.size, 512)))
  const text = head.toString("latin1")
  if (head.length === 512 && (text.slice(257, 262) === "ustar" || head.every((byte) => byte === 0))) return "tar"
  if (text.startsWith("\x1f\x8b")) return requireNoTar(file, "gzip")
  if (head.length > 4 && isZstd(head.readUInt32LE())) return requireNoTar(file, "zstd")
  if (/^(\xef\xbb\xbf)?\s*\{(?!\0)/.test(text)) return "none"
  throw stranger(file.name, text)
}

/** A frame's magic number, or one of the 16 of frames to be skipped. */
function isZstd(magic: number): boolean {
  return magic === 0xfd2fb528 || (magic & 0xfffffff0) >>> 0 === 0x184d2a50
}

/** Throws UserError where what is compressed is a tar archive: its samples are read one by one, by their positions. */
function requireNoTar(file: RandomAccess, compression: "gzip" | "zstd"): Compression {
  const isTar = compression === "gzip" ? /^.{257}ustar/s.test(gunzipHead(file)) : /\.tar\.zstd?$/i.test(file.name)
  if (!isTar) return compression
  throw new UserError(
    `${file.name} is a tar archive compressed by ${compression}, and tar shards are read uncompressed`,
    compression === "gzip" ? "unpack it: gunzip < OLD > NEW.tar" : "unpack it: zstd -d OLD -o NEW.tar",
  )
}

/** The beginning of what is compressed, "" where it is damaged. */
function gunzipHead(file: RandomAccess): string {
  try {
    const head = file.read(0, Math.min(file.size, 4096))
    return gunzipSync(head, { finishFlush: constants.Z_SYNC_FLUSH }).toString("latin1", 0, 512)
  } catch {
    return ""
  }
}

const utf16 = "a text in UTF-16"

/** What else people have, by how it begins. */
const kinds = {
  "PK\x03\x04": "a zip archive",
  BZh: "compressed by bzip2",
  "\xfd7zXZ": "compressed by xz",
  PAR1: "a Parquet file",
  "\xff\xfe": utf16,
  "\xfe\xff": utf16,
  "{\0": utf16,
  "\0{": utf16,
}

/** JSON that is one list, and not an object on each line. */
export function jsonArray(name: string): UserError {
  return new UserError(
    `${name} is one JSON array, and an object on each line was expected (JSONL)`,
    "make lines of it: jq -c '.[]' OLD.json > NEW.jsonl",
  )
}

function stranger(name: string, text: string): UserError {
  if (text.startsWith("version https://git-lfs")) {
    return new UserError(
      `${name} is a git-lfs pointer, not the shard it points to`,
      "run `git lfs pull` in its repository",
    )
  }
  if (/^\s*<(!doctype|html|\?xml)/i.test(text)) {
    return new UserError(
      `${name} is a web page, not a shard: the download went wrong`,
      "look at it in a browser, and download the file again",
    )
  }
  if (/^(\xef\xbb\xbf)?\s*\[/.test(text)) return jsonArray(name)
  const kind = Object.entries(kinds).find(([beginning]) => text.startsWith(beginning))?.[1]
  const hint = kind === utf16 ? "save it as UTF-8: iconv -f UTF-16 -t UTF-8 OLD.jsonl > NEW.jsonl" : expected
  return new UserError(`${name} is ${kind === undefined ? "not a shard" : `${kind}, not a shard`}`, hint)
}
