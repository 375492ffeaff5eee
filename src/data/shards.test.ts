import { execFileSync } from "node:child_process"
import { mkdir, mkdtemp, open, readdir, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { tarEntry } from "../../test/hostile.ts"
import { UserError } from "../core/errors.ts"
import { splitName } from "./reinforced/tar/tar-head.ts"
import { readShard, type Sample, writeShard } from "./shards.ts"

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "shards-"))
})
afterAll(() => rm(folder, { recursive: true }))

function sample(key: string, members: Record<string, string | Uint8Array>): Sample {
  const bytes = (value: string | Uint8Array) => (typeof value === "string" ? new TextEncoder().encode(value) : value)
  return { key, members: new Map(Object.entries(members).map(([extension, value]) => [extension, bytes(value)])) }
}

async function readAll(path: string): Promise<[string, Record<string, string>][]> {
  const samples: [string, Record<string, string>][] = []
  for await (const { key, members } of readShard(path)) {
    const text = [...members].map(([extension, bytes]) => [extension, Buffer.from(bytes).toString("latin1")])
    samples.push([key, Object.fromEntries(text)])
  }
  return samples
}

/** A shard written by the system's tar from files, in the order given. */
async function systemTar(name: string, files: Record<string, string>, ...options: string[]): Promise<string> {
  const source = await mkdtemp(join(folder, "source-"))
  for (const [path, content] of Object.entries(files)) {
    await mkdir(join(source, path, ".."), { recursive: true })
    await writeFile(join(source, path), content)
  }
  const path = join(folder, name)
  execFileSync("tar", ["-C", source, ...options, "-cf", path, ...Object.keys(files)])
  return path
}

const samples = [
  sample("train/0001", { txt: "a red star", "syn.json": "{}", jpg: Uint8Array.from({ length: 70_000 }, (_, i) => i) }),
  sample("train/0002", { txt: "", jpg: "x".repeat(512) }),
  sample(`${"long/".repeat(40)}0003`, { txt: "größer" }),
]

test("a round trip keeps keys, members and bytes; members are sorted; equal samples give equal files", async () => {
  const [first, second] = [join(folder, "a.tar"), join(folder, "b.tar")]
  await writeShard(first, samples)
  await writeShard(second, samples)
  expect(await readFile(first)).toEqual(await readFile(second))
  const read: Sample[] = []
  for await (const item of readShard(first)) read.push(item)
  expect(read.map(({ key }) => key)).toEqual(samples.map(({ key }) => key))
  expect([...read[0]!.members.keys()]).toEqual(["jpg", "syn.json", "txt"])
  read.forEach(({ members }, i) => {
    for (const [extension, bytes] of members) {
      expect(Buffer.compare(bytes, samples[i]!.members.get(extension)!)).toBe(0)
    }
  })
})

test("the system's tar reads what we write", async () => {
  const path = join(folder, "listed.tar")
  await writeShard(path, samples.slice(0, 1))
  const listing = execFileSync("tar", ["-tf", path], { encoding: "utf8" })
  expect(listing.trim().split("\n")).toEqual(["train/0001.jpg", "train/0001.syn.json", "train/0001.txt"])
})

test.each(["ustar", "gnu", "pax"])("%s archives are read", async (format) => {
  const name = "n".repeat(90)
  const files = { "d.ir/0.TXT": "zero", "d.ir/0.syn.json": "[]", [`${name}.txt`]: "long", [`${name}.jpg`]: "" }
  const path = await systemTar(`${format}.tar`, files, `--format=${format}`)
  expect(await readAll(path)).toEqual([
    ["d.ir/0", { txt: "zero", "syn.json": "[]" }],
    [name, { txt: "long", jpg: "" }],
  ])
})

test("folders, files without extension and hidden files belong to no sample", async () => {
  const path = await systemTar("extras.tar", { README: "", ".hidden": "", "a/._0.jpg": "", "./0.txt": "zero" })
  expect(await readAll(path)).toEqual([["0", { txt: "zero" }]])
})

test("a key or member that occurs twice is an error", async () => {
  const apart = await systemTar("apart.tar", { "0.txt": "", "1.txt": "", "0.jpg": "" })
  await expect(readAll(apart)).rejects.toThrow(`${apart}: "0" occurs twice`)
  const again = await systemTar("again.tar", { "0.txt": "", "0.TXT": "" })
  await expect(readAll(again)).rejects.toThrow(`"0.txt" occurs twice`)
})

test("an incomplete archive is an error that names the file", async () => {
  const whole = join(folder, "whole.tar")
  await writeShard(whole, samples)
  const bytes = await readFile(whole)
  const cases: Record<string, [Uint8Array, string]> = {
    "empty.tar": [new Uint8Array(0), "is empty"],
    "text.tar": [Buffer.from("not an archive"), "is not a complete tar archive"],
    "cut.tar": [bytes.subarray(0, 40_000), "is not a complete tar archive"],
    "between.tar": [bytes.subarray(0, bytes.length - 1024), "is not a complete tar archive"],
    "blank.tar": [new Uint8Array(1024), "holds no samples"],
    "damaged.tar": [Buffer.concat([Buffer.alloc(512, 7), bytes]), "is not a readable tar archive"],
    "short.tar": [Buffer.concat([bytes.subarray(0, 30_208), new Uint8Array(512)]), "is not a readable tar archive"],
  }
  for (const [name, [content, message]] of Object.entries(cases)) {
    const path = join(folder, name)
    await writeFile(path, content)
    const error: unknown = await readAll(path).catch((reason: unknown) => reason)
    expect(error, name).toBeInstanceOf(UserError)
    expect((error as UserError).message, name).toContain(`${path} ${message}`)
  }
  await expect(readAll(join(folder, "missing.tar"))).rejects.toThrow("does not exist")
  await expect(readAll(folder)).rejects.toThrow(UserError)
})

test("an error of the samples leaves no file", async () => {
  const place = await mkdtemp(join(folder, "failed-"))
  async function* failing() {
    yield samples[0]!
    throw new Error("no more")
  }
  await expect(writeShard(join(place, "0.tar"), failing())).rejects.toThrow("no more")
  expect(await readdir(place)).toEqual([])
})

test("a reader may stop early", async () => {
  const path = join(folder, "early.tar")
  await writeShard(path, samples)
  for await (const { key } of readShard(path)) {
    expect(key).toBe("train/0001")
    break
  }
})

test("an entry whose size is not a number is refused, not waited for", async () => {
  const path = await systemTar("size.tar", { "1.txt": "one", "2.txt": "two" })
  const bytes = await readFile(path)
  bytes.set([0xfc, 0xef, 0xff], 124)
  bytes.fill(0x20, 148, 156)
  const sum = bytes.subarray(0, 512).reduce((total, byte) => total + byte, 0)
  bytes.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1")
  await writeFile(path, bytes)
  await expect(readAll(path)).rejects.toThrow(
    /^[^\n]*is not a readable tar archive \(the size of "1.txt" is damaged\)$/,
  )
})

test("members that are larger than any, and headers that no archive of samples has, are refused", async () => {
  const path = join(folder, "large.tar")
  const refused = async (entries: readonly Uint8Array[], size: number, message: RegExp) => {
    const file = await open(path, "w")
    await file.write(Buffer.concat([tarEntry("0.txt", "zero"), ...entries]))
    await file.truncate(size)
    await file.close()
    const keys: string[] = []
    const reading = (async () => {
      for await (const { key } of readShard(path)) keys.push(key)
    })()
    await expect(reading).rejects.toThrow(UserError)
    await expect(reading).rejects.toThrow(message)
    expect(keys.length).toBeLessThanOrEqual(1)
  }
  await refused([tarEntry("1.jpg", "", "0", 2 ** 29)], 2 ** 29 + 4096, /its members have 536870912 bytes, more than/)
  await refused([tarEntry("l", "a/".repeat(5000), "L"), tarEntry("1.txt", "one")], 2 ** 16, /a name has 10000 letters/)
})

test("names are split at the first dot of the file's name, in time that grows with their length", () => {
  const split = (name: string) => splitName({ name, type: "file" } as Parameters<typeof splitName>[0])
  expect(split("././a/b.C.d")).toEqual({ key: "a/b", extension: "c.d" })
  expect(split(".//a.txt")).toEqual({ key: "/a", extension: "txt" })
  expect(split("d.ir/x.y/0.TXT")).toEqual({ key: "d.ir/x.y/0", extension: "txt" })
  for (const name of ["a", "a/", "a.", ".a", "./.a", "a/.b.c", "a.b/c", "", "./"]) expect(split(name), name).toBeNull()
  const started = process.cpuUsage()
  for (const name of ["./", "a/", "/", "a.", "."]) for (const end of ["", "b", "b.c"]) split(name.repeat(1e6) + end)
  expect(process.cpuUsage(started).user / 1e6).toBeLessThan(2)
})
