/** Sources as other programs write them: what is read, what is refused, and files that are damaged. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { gzipSync } from "node:zlib"
import { DatabaseSync } from "@photostructure/sqlite"
import { parquetWriteBuffer } from "hyparquet-writer"
import { afterAll, beforeAll, expect, test } from "vitest"
import { float32ToFloat16 } from "../../../core/arrays/half.ts"
import { Random } from "../../../core/arrays/random.ts"
import { UserError } from "../../../core/errors.ts"
import { npyBytes, npyHeader } from "../../../host/containers/npz.ts"
import { openSource, type SourceOptions } from "./open-source.ts"
import type { ImportedPicture } from "./source.ts"

let folder: string
const at = (...names: string[]) => join(folder, ...names)
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "import-"))
})
afterAll(() => rmSync(folder, { recursive: true }))

async function read(path: string, options?: SourceOptions) {
  await using source = await openSource(path, options)
  const { kind, dim, model, total } = source
  const pictures: ImportedPicture[] = []
  for await (const picture of source.pictures()) pictures.push(picture)
  return { kind, dim, model, total, pictures }
}

/** Written by pyarrow 25: image_path /p/a.jpg, /p/é.jpg, /p/a.jpg and caption "a cat", null, "a cat". */
const pyarrow = {
  "snappy, pages of version 1":
    "UEFSMRUEFTIVNkwVBBUAEgAAGWAIAAAAL3AvYS5qcGcJAAAAL3Avw6kuanBnFQAVEhUWLBUGFRAVBhUGHAAAAAkgAgAAAAYBAQMCFQQVEhUWTBUCFQASAAAJIAUAAABhIGNhdBUAFRIVFiwVBhUQFQYVBhwAAAAJIAIAAAADBQEEABUEGTw1ABgGc2NoZW1hFQQAFQwlAhgKaW1hZ2VfcGF0aCUATBwAAAAVDCUCGAdjYXB0aW9uJQBMHAAAABYGGRwZLCYAHBUMGTUABhAZGAppbWFnZV9wYXRoFQIWBhaGARaOASZaJggpLBUEFQAVAgAVABUQFQIAPBYyGQYZJgAGAAAAJgAcFQwZNQAGEBkYB2NhcHRpb24VAhYGFmYWbibIASaWASksFQQVABUCABUAFRAVAgA8FhQZBhkmAgQAAAAW7AEWBiYIFvwBACggcGFycXVldC1jcHAtYXJyb3cgdmVyc2lvbiAyNS4wLjEZLBwAABwAAAD3AAAAUEFSMQ==", // biome-ignore format: a file
  "zstd, pages of version 2":
    "UEFSMRUEFTIVREwVBBUAEgAAKLUv/SAZyQAACAAAAC9wL2EuanBnCQAAAC9wL8OpLmpwZxUGFQoVClwVBhUAFQYVEBUEFQASHAAAAAYBAQMCFQQVEhUkTBUCFQASAAAotS/9IAlJAAAFAAAAYSBjYXQVBhUKFQpcFQYVAhUGFRAVBBUAEhwAAAADBQEEABUEGTw1ABgGc2NoZW1hFQQAFQwlAhgKaW1hZ2VfcGF0aCUATBwAAAAVDCUCGAdjYXB0aW9uJQBMHAAAABYGGRwZLCYAHBUMGTUABhAZGAppbWFnZV9wYXRoFQwWBhaIARaaASZoJggpLBUEFQAVAgAVABUQFQIAPBYyGQYZJgAGAAAAJgAcFQwZNQAGEBkYB2NhcHRpb24VDBYGFmgWeibiASaiASksFQQVABUCABUAFRAVAgA8FhQZBhkmAgQAAAAW8AEWBiYIFpQCACggcGFycXVldC1jcHAtYXJyb3cgdmVyc2lvbiAyNS4wLjEZLBwAABwAAAD3AAAAUEFSMQ==", // biome-ignore format: a file
}

test.each(Object.entries(pyarrow))("a matrix with pyarrow's table: %s", async (_, base64) => {
  writeFileSync(at("p.parquet"), Buffer.from(base64, "base64"))
  writeFileSync(at("p.npy"), npyBytes([3, 2], Float32Array.of(1, 2, 3, 4, 5, 6)))
  const vectors = [Float32Array.of(1, 2), Float32Array.of(3, 4), Float32Array.of(5, 6)]
  const texts = [["/p/a.jpg", "a cat"], ["/p/é.jpg", null], ["/p/a.jpg", "a cat"]] // biome-ignore format: rows
  expect(await read(at("p.npy"))).toEqual({
    ...{ kind: "npy", dim: 2, model: null, total: 3 },
    pictures: vectors.map((vector, i) => ({ path: texts[i]![0], caption: texts[i]![1], vector })),
  })
})

test("clip-retrieval's folder: parts by their numbers, float16 and float32, row groups, another column of paths", async () => {
  for (const name of ["cr/img_emb", "cr/metadata"]) mkdirSync(at(name), { recursive: true })
  const rows = { "2": 3, "10": 2 }
  let row = 0
  for (const [part, count] of Object.entries(rows)) {
    const values = Float32Array.from({ length: count * 4 }, (_, i) => (row * 4 + i) / 8)
    const [descr, bytes] = part === "2" ? (["<f2", float32ToFloat16(values)] as const) : (["<f4", values] as const)
    writeFileSync(
      at("cr/img_emb", `img_emb_${part}.npy`),
      Buffer.concat([npyHeader([count, 4], descr), Buffer.from(bytes.buffer)]),
    )
    const names = Array.from({ length: count }, (_, i) => `${row + i}`)
    const columnData = [
      { name: "key", data: names },
      { name: "url", data: names.map((name) => `https://p/${name}`) },
    ]
    writeFileSync(
      at("cr/metadata", `metadata_${part}.parquet`),
      Buffer.from(parquetWriteBuffer({ columnData, rowGroupSize: 2 })),
    )
    row += count
  }
  const { pictures, ...found } = await read(at("cr"))
  expect(found).toEqual({ kind: "clip-retrieval", dim: 4, model: null, total: 5 })
  expect(pictures.map(({ path }) => path)).toEqual(["0", "1", "2", "3", "4"].map((name) => `https://p/${name}`))
  pictures.forEach(({ vector }, i) => {
    expect(vector).toEqual(Float32Array.from({ length: 4 }, (_, d) => (i * 4 + d) / 8))
  })
  expect((await read(at("cr"), { pathColumn: "key" })).pictures[3]!.path).toBe("3")
  await expect(read(at("cr"), { pathColumn: "place" })).rejects.toThrow(
    "has no column place; its columns of texts are key, url",
  )
})

const identity = "m file=sha256:0 256px"

test("the model's identity comes from embed.json", async () => {
  for (const name of ["ours/img_emb", "ours/metadata"]) mkdirSync(at(name), { recursive: true })
  writeFileSync(at("ours/img_emb/img_emb_0.jsonl"), '{"image_path":"/a.jpg","caption":null,"embedding":[1,0]}\n')
  const settings = { format: "mobileclip-embed-1", model: "m", identity, reading: { orientation: "ignore" } }
  writeFileSync(at("ours/embed.json"), JSON.stringify(settings))
  const found = await read(at("ours"))
  expect(found.model).toEqual({ name: "m", identity, orientation: "ignore" })
  expect(found.pictures).toEqual([{ path: "/a.jpg", vector: Float32Array.of(1, 0), caption: null }])
})

test("lines of JSON: lists, base64, none; plain and compressed", async () => {
  const base64 = Buffer.from(Float32Array.of(0.25, -3).buffer).toString("base64")
  const lines = [
    '{"path": "a.jpg", "vector": [1, 2e-3]}',
    `{"image_path": "b.jpg", "embedding": "${base64}", "caption": "b"}`,
    '{"path": "c.jpg"}',
  ]
  writeFileSync(at("a.jsonl"), lines.join("\n"))
  writeFileSync(at("a.jsonl.gz"), gzipSync(lines.join("\n")))
  for (const name of ["a.jsonl", "a.jsonl.gz"])
    expect(await read(at(name))).toEqual({
      ...{ kind: "jsonl", dim: 2, model: null, total: null },
      pictures: [
        { path: "a.jpg", vector: Float32Array.of(1, Math.fround(2e-3)), caption: null },
        { path: "b.jpg", vector: Float32Array.of(0.25, -3), caption: "b" },
        { path: "c.jpg", vector: null, caption: null },
      ],
    })
})

function writeRclip(path: string, version: number, rows: number): void {
  const database = new DatabaseSync(path)
  database.exec(`
    CREATE TABLE images (id INTEGER PRIMARY KEY, deleted BOOLEAN, filepath TEXT NOT NULL UNIQUE,
      modified_at DATETIME NOT NULL, size INTEGER NOT NULL, vector BLOB NOT NULL, indexing BOOLEAN, hash TEXT);
    CREATE TABLE db_version (version INTEGER);
    INSERT INTO db_version VALUES (${version})`)
  const insert = database.prepare(
    "INSERT INTO images (deleted, filepath, modified_at, size, vector) VALUES (?, ?, 1.5, 9, ?)",
  )
  for (let i = 0; i < rows; i++)
    insert.run(i === 1 ? 1 : null, `/r/${i}.jpg`, new Uint8Array(Float32Array.of(i, 0, 1).buffer))
  database.close()
}

test.each([
  [2, "ViT-B-32-quickgelu (openai)"],
  [4, "ViT-B-32-256 (datacomp_s34b_b86k)"],
])("rclip's database of version %i: pictures that are not deleted, by %s", async (version, name) => {
  const path = at(`rclip-${version}.sqlite3`)
  writeRclip(path, version, 4)
  const { pictures, ...found } = await read(path)
  expect(found).toEqual({ kind: "rclip", dim: 3, total: 3, model: { name, identity: null, orientation: null } })
  expect(pictures).toEqual([0, 2, 3].map((i) => ({ path: `/r/${i}.jpg`, vector: Float32Array.of(i, 0, 1) })))
})

test("thousands of rclip's rows are read, whatever is collected meanwhile", async () => {
  const path = at("rclip-large.sqlite3")
  writeRclip(path, 4, 3000)
  await using source = await openSource(path)
  let rows = 0
  for await (const { path: name } of source.pictures()) {
    if (rows++ % 300 === 0) collect()
    expect(name).toBe(`/r/${rows === 1 ? 0 : rows}.jpg`)
  }
  expect(rows).toBe(2999)
})

function collect(): void {
  setFlagsFromString("--expose-gc")
  runInNewContext("gc")()
}

/** In the form of PostgreSQL 15's pg_dump, which was compared with a real one; tables as in Immich before and since 1.136. */
function immichDump(names: { asset: string; exif: string; config: string }): string {
  return `--
-- PostgreSQL database dump
--

SET client_encoding = 'UTF8';

CREATE FUNCTION public.odd() RETURNS text LANGUAGE sql AS $$
SELECT '
COPY public.${names.asset} (id) FROM stdin
'::text $$;

COPY public.${names.asset} (id, "deviceId", type, "originalPath", "localDateTime", "deletedAt", status) FROM stdin;
i1	w\\N	IMAGE	/upload/t\\tab\\\\back é.jpg	2023-07-14 14:22:31.5+02	\\N	active
i2	w	VIDEO	/upload/film.mp4	\\N	\\N	active
i3	w	IMAGE	/upload/trash.jpg	\\N	2024-01-01 00:00:00+00	trashed
i4	w	IMAGE	/upload/none.jpg	\\N	\\N	active
i5	w	IMAGE	/upload/5.jpg	\\N	\\N	active
\\.


COPY public.${names.exif} ("assetId", make, model, "dateTimeOriginal", latitude, longitude, description) FROM stdin;
i1	Canon	EOS R5	2023-07-14 10:22:31.5+02	47.5	-122.25	two\\nlines
i5	\\N	\\N	\\N	\\N	\\N	
\\.


COPY public.smart_search ("assetId", embedding) FROM stdin;
i5	[0.5,-1e-05]
i3	[9,9]
i1	[1,2]
\\.

${names.config}
-- PostgreSQL database dump complete
`
}

const versions = {
  "since 1.136": {
    ...{ asset: "asset", exif: "asset_exif" },
    config:
      'COPY public.system_metadata (key, value) FROM stdin;\nsystem-config\t{"machineLearning": {"clip": {"modelName": "ViT-L-14__openai"}}}\n\\.\n',
  },
  "before it": {
    ...{ asset: "assets", exif: "exif" },
    config:
      'COPY public.system_config (key, value) FROM stdin;\nmachineLearning.clip.modelName\t"ViT-L-14__openai"\n\\.\n',
  },
}

test.each(Object.entries(versions))("Immich's backup of a version %s", async (_, names) => {
  const path = at("immich.sql.gz")
  writeFileSync(path, gzipSync(immichDump(names)))
  const { pictures, ...found } = await read(path)
  const model = { name: "ViT-L-14__openai", identity: null, orientation: null }
  expect(found).toEqual({ kind: "immich", dim: 2, total: 3, model })
  const unknown = { caption: null, camera: null, taken: null, latitude: null, longitude: null }
  expect(pictures).toEqual([
    { ...unknown, path: "/upload/5.jpg", vector: Float32Array.of(0.5, Math.fround(-1e-5)) },
    {
      path: "/upload/t\tab\\back é.jpg",
      vector: Float32Array.of(1, 2),
      caption: "two\nlines",
      camera: "Canon EOS R5",
      taken: "2023-07-14T12:22:31",
      latitude: 47.5,
      longitude: -122.25,
    },
    { ...unknown, path: "/upload/none.jpg", vector: null },
  ])
})

test("where Immich's administrator chose no model, it is Immich's own", async () => {
  writeFileSync(at("plain.sql"), immichDump({ asset: "asset", exif: "asset_exif", config: "" }))
  expect((await read(at("plain.sql"))).model?.name).toBe("ViT-B-32__openai")
})

const dump = () => immichDump(versions["since 1.136"])

test.each([
  ["cut.sql", () => dump().slice(0, -30), "cut.sql is cut off: it has no end"],
  ["block.sql", () => dump().slice(0, dump().indexOf("i3\t[9,9]")), "block.sql is cut off in table smart_search"],
  ["field.sql", () => dump().replace("i5\t[0.5", "i5[0.5"), "1 fields in table smart_search of 2 columns"],
  ["empty.sql", () => "--\n-- PostgreSQL database dump complete\n", "empty.sql has no pictures of Immich"],
  ["custom.sql", () => "PGDMP\x01\x0e", "custom.sql is a dump in PostgreSQL's custom format"],
  ["nothing.txt", () => "nothing", "nothing.txt is of no kind that is imported"],
  ["alone.npy", () => npyBytes([1, 1], Float32Array.of(1)), "that says what"],
  ["list.jsonl", () => '{"path": "a", "vector": "AAA"}', "line 1: the vector is not base64"],
  [
    "width.jsonl",
    () => '{"path": "a", "vector": [1]}\n\n{"path": "b", "vector": [1, 2]}',
    "line 3: a vector of 2 values, and 1 before it",
  ],
  ["bare.jsonl", () => '{"vector": [1]}', "line 1 names no picture"],
])("%s is refused in one line", async (name, content, message) => {
  writeFileSync(at(name), content())
  const error = await read(at(name)).then(
    () => null,
    (error: unknown) => error,
  )
  expect(error).toBeInstanceOf(UserError)
  expect((error as UserError).message).toContain(message)
  expect((error as UserError).message).not.toContain("\n")
})

test.each([
  [
    "objects.npy",
    Buffer.from(
      Buffer.from(npyHeader([2, 2], "<f4"))
        .toString("latin1")
        .replace("<f4", "|O8"),
      "latin1",
    ),
    "holds |O8",
  ],
  ["cut.npy", Buffer.from(npyBytes([2, 2], new Float32Array(4))).subarray(0, -1), "is 16 bytes, stored are 15"],
  ["flat.npy", npyBytes([4], new Float32Array(4)), "is an array of [4]"],
  ["long.npy", npyBytes([4, 2], new Float32Array(8)), "has 4 rows, and"],
])("%s is refused", async (name, bytes, message) => {
  writeFileSync(at(name), bytes)
  writeFileSync(at(name.replace("npy", "parquet")), Buffer.from(Object.values(pyarrow)[0]!, "base64"))
  await expect(read(at(name))).rejects.toThrow(message)
})

// ------------------------------------------------------------------------------------------------- damaged files

test("a run of levels that is longer than its page is refused before it is unpacked: it could fill the memory", async () => {
  const bytes = Buffer.from(Object.values(pyarrow)[1]!, "base64")
  // Levels of a page of version 2 are not packed: a run of 3 (3 << 1), of level 1; then come indices, one bit each.
  const levels = bytes.indexOf(Buffer.from([6, 1, 1, 3, 2]))
  expect(levels).toBeGreaterThan(0)
  bytes[levels] = 63 << 1
  writeFileSync(at("run.parquet"), bytes)
  writeFileSync(at("run.npy"), npyBytes([3, 1], new Float32Array(3)))
  await expect(read(at("run.npy"))).rejects.toThrow(
    "run.parquet cannot be read as a parquet file: a run is longer than its page",
  )
})

/** Cuts it, sets bytes, or flips bits. */
function damaged(bytes: Uint8Array, random: Random, kind: number): Uint8Array {
  if (kind % 3 === 0) return bytes.subarray(0, random.int(bytes.length))
  const copy = Uint8Array.from(bytes)
  for (let i = 0; i <= random.int(3); i++) {
    const place = random.int(copy.length)
    copy[place] = kind % 3 === 1 ? random.int(256) : copy[place]! ^ (1 << random.int(8))
  }
  return copy
}

const manyRows = () => {
  const data = Array.from({ length: 60 }, (_, i) => `/p/${i}.jpg`)
  const columnData = [{ name: "image_path", data }, { name: "caption", data: data.map((_, i) => `${i % 5}`) }] // biome-ignore format: columns
  return Buffer.from(parquetWriteBuffer({ columnData, rowGroupSize: 25 }))
}

const originals: Readonly<Record<string, () => Uint8Array>> = {
  "snappy.parquet": () => Buffer.from(Object.values(pyarrow)[0]!, "base64"),
  "zstd.parquet": () => Buffer.from(Object.values(pyarrow)[1]!, "base64"),
  "many.parquet": manyRows,
  "a.jsonl": () => Buffer.from('{"path": "a.jpg", "vector": [1, 2e-3], "caption": "b"}\n'.repeat(9)),
  "immich.sql": () => Buffer.from(dump()),
  "immich.sql.gz": () => gzipSync(dump()),
  "db.sqlite3": () => {
    const path = at("original.sqlite3")
    if (!existsSync(path)) writeRclip(path, 4, 40)
    return readFileSync(path)
  },
  "m.npy": () => npyBytes([60, 2], new Float32Array(120)),
}

test.each(Object.keys(originals))(
  "200 damaged copies of %s are read or refused, and nothing else happens",
  async (name) => {
    const random = new Random(3)
    const bytes = originals[name]!()
    mkdirSync(at("fuzz"), { recursive: true })
    const path = at("fuzz", name)
    const rows = name === "snappy.parquet" || name === "zstd.parquet" ? 3 : 60
    writeFileSync(path.replace(/\w+$/, "npy"), npyBytes([rows, 2], new Float32Array(rows * 2)))
    writeFileSync(path.replace(/\w+$/, "parquet"), manyRows())
    const source = path.replace(/parquet$/, "npy")
    let refused = 0
    for (let i = 0; i < 200; i++) {
      writeFileSync(path, damaged(bytes, random, i))
      await read(source).catch((error: unknown) => {
        if (!(error instanceof UserError)) throw error
        expect(error.message).not.toContain("\n")
        refused++
      })
    }
    // A third is cut; a few bytes of the rest are captions or numbers.
    expect(refused).toBeGreaterThan(50)
  },
)
