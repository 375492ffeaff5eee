/** Samples that ask for more memory than their size allows are bad samples, each by itself. */
import { mkdir, open, readFile, rm, symlink, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { gzipSync } from "node:zlib"
import { afterAll, beforeAll, expect, test } from "vitest"
import { compactZeros, fieldsOfZeros, npzZeros, tarEnd, tarEntry, torchViews } from "../../../../test/hostile.ts"
import { pictureSamples, temporaryFolder, trainingConfig, writeSamples } from "../../../../test/training-samples.ts"
import type { ReinforcedSample } from "../../reinforced/sample.ts"
import { membersOfSample } from "../../reinforced/tar/members.ts"
import { findTeacherWidths } from "../teacher-widths.ts"
import { openTrainingData } from "../training-data.ts"

let folder: string
let samples: ReinforcedSample[]
beforeAll(async () => {
  folder = await temporaryFolder()
  samples = await pictureSamples(6)
})
afterAll(() => rm(folder, { recursive: true }))

/** Messages about the samples that could not be used, over several epochs, because batches are made ahead. */
async function badOf(source: string, reinforced: boolean): Promise<string> {
  const format = reinforced ? ({ format: "reinforced", view: "stored" } as const) : {}
  const data = await openTrainingData(trainingConfig(source, { batchSize: 2, maxBadSamples: 0, ...format }))
  try {
    let steps = 0
    for await (const _ of data.batches(0)) if (++steps === 4 * data.stepsPerEpoch!) break
    return "none"
  } catch (error) {
    return (error as Error).message
  } finally {
    await data.close()
  }
}

const large = { count: 20, rows: 1024, width: 4096 }

test.each<[string, string, () => Uint8Array | string, RegExp]>([
  ["compact embeddings", "cemb", () => compactZeros({ ...large, count: 100 }), /cemb: with "\d+_emb" it would take/],
  ["NumPy's archives", "npz", () => npzZeros(large), /npz: with "\d+_emb\.npy" it would take/],
  [
    "tensors of one storage",
    "pth.gz",
    () => torchViews({ count: 200, rows: 128, width: 4096 }),
    /pth\.gz: with tensor "\d+_emb" it would take/,
  ],
  [
    "views",
    "paug.json",
    () => `{"param_aug":[${"[],".repeat(1e6)}0]}`,
    /paug\.json: it has more values than are read: \d+ in \d+ letters/,
  ],
])("in a tar: %s", async (_, extension, content, reason) => {
  // biome-ignore format: a row each
  const entries = samples.flatMap((sample, i) => {
    const members = membersOfSample(sample, "pth.gz")
    if (i === 3 && ["cemb", "npz"].includes(extension)) members.delete("pth.gz")
    if (i === 3) members.set(extension, Buffer.from(content()))
    return [...members].map(([name, bytes]) => tarEntry(`s${i}.${name}`, bytes))
  })
  const path = join(folder, "shard.tar")
  await writeFile(path, Buffer.concat([...entries, tarEnd]))
  const message = await badOf(path, true)
  expect(message).toMatch(/^1 samples cannot be used, .* 1 x damaged sample \(.*shard\.tar: s3: /)
  expect(message).toMatch(reason)
})

test.each<[string, (line: string) => string, RegExp]>([
  [
    "fields",
    (line) =>
      line.replace(
        "{",
        fieldsOfZeros({ count: 40, rows: 256, width: 1024 }).replace('"uid":"b",', "").replace("}", ","),
      ),
    /its embeddings: with "\d+_emb" it would take \d+ bytes/,
  ],
  [
    "levels",
    (line) => line.replace("{", `{"x":${"[".repeat(1e6)}${"]".repeat(1e6)},`),
    /it nests deeper than 128 levels/,
  ],
  [
    "a line of 70 MB",
    (line) => line.replace("{", `{"x":"${"a".repeat(7e7)}",`),
    /its line is \d+ long, more than 67108864/,
  ],
])("in JSONL: %s", async (_, change, reason) => {
  // biome-ignore format: a row each
  const path = await writeSamples(join(folder, "shard.jsonl"), samples, "jsonl")
  const lines = (await readFile(path, "utf8")).split("\n")
  lines[3] = change(lines[3]!)
  await writeFile(path, lines.join("\n"))
  const message = await badOf(path, true)
  expect(message).toMatch(/^1 samples cannot be used, .* 1 x damaged sample \(.*shard\.jsonl, byte \d+: /)
  expect(message).toMatch(reason)
})

test("a file of millions of short lines is not a shard, compressed or not", async () => {
  for (const [name, bytes] of [
    ["short.jsonl", Buffer.from("{}\n".repeat(4e6))],
    ["short.jsonl.gz", gzipSync("{}\n".repeat(4e6))],
  ] as const) {
    await writeFile(join(folder, name), bytes)
    await expect(openTrainingData(trainingConfig(join(folder, name)))).rejects.toThrow(
      `${name}: half of its first 10001 lines are too short for a sample`,
    )
  }
})

test("a caption file and a picture that are too large", async () => {
  const path = join(folder, "pictures")
  await mkdir(path)
  for (const [i, { image }] of samples.entries()) {
    await writeFile(join(path, `${i}.jpg`), image!.bytes)
    await writeFile(join(path, `${i}.txt`), "one")
  }
  await writeFile(join(path, "3.txt"), "one\n".repeat(1e6))
  expect(await badOf(path, false)).toMatch(/1 x damaged sample \(.*3\.txt is 4000000 long, more than 1048576\)$/)
  await writeFile(join(path, "3.txt"), "a".repeat(100_000))
  expect(await badOf(path, false)).toBe("none")
  await writeFile(join(path, "3.txt"), "one")
  const file = await open(join(path, "3.jpg"), "w")
  await file.truncate(2 ** 31)
  await file.close()
  expect(await badOf(path, false)).toMatch(
    /1 x damaged sample \(.*3\.jpg: its members have 2147483648 bytes, more than/,
  )
})

test.each([
  ["csv", (image: string) => `${image},a caption\n`],
  ["jsonl", (image: string) => `${JSON.stringify({ image, caption: "a caption" })}\n`],
])("rows of %s that name a link to itself or hold a NUL character are replaced and counted", async (kind, rowOf) => {
  const path = join(folder, `odd-${kind}`)
  await mkdir(path)
  for (const [i, { image }] of samples.entries()) await writeFile(join(path, `${i}.jpg`), image!.bytes)
  await symlink("loop.jpg", join(path, "loop.jpg"))
  const rows = [...samples.keys()].map((i) => rowOf(`${i}.jpg`)).concat(rowOf("loop.jpg"), rowOf("a\0b.jpg"))
  const list = join(path, `list.${kind}`)
  await writeFile(list, [kind === "csv" ? "filepath,title\n" : "", ...rows].join(""))
  const data = await openTrainingData(trainingConfig(list, { batchSize: 2, maxBadSamples: 2 }))
  try {
    expect(data.identity).toMatch(/^8 pictures \(\w{16}\)$/)
    let steps = 0
    for await (const _ of data.batches(0)) if (++steps === 2 * data.stepsPerEpoch!) break
    expect([...data.bad.reasons]).toEqual([["damaged sample", 2]])
  } finally {
    await data.close()
  }
})

test("rows that would have too many teachers are not searched", () => {
  const started = process.cpuUsage()
  expect(() => findTeacherWidths([new Float32Array(2 ** 16).fill(1)], "shard")).toThrow(
    "they would be of 65536 teachers, more than 64",
  )
  expect(process.cpuUsage(started).user / 1e6).toBeLessThan(2)
})
