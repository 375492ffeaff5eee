import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { basename, join } from "node:path"
import { pathToFileURL } from "node:url"
import { afterAll, beforeAll, expect, test } from "vitest"
import { quoted, UserError } from "../core/errors.ts"
import { expandBraces, expandShards } from "./expand.ts"
import { openStorage } from "./stores/open.ts"
import type { Storage } from "./stores/storage.ts"

// Expected values are what bash prints for `echo PATTERN`.
test.each([
  ["a.tar", ["a.tar"]],
  ["{00..02}.tar", ["00.tar", "01.tar", "02.tar"]],
  ["x{8..11}", ["x8", "x9", "x10", "x11"]],
  ["x{08..11}", ["x08", "x09", "x10", "x11"]],
  ["{3..1}", ["3", "2", "1"]],
  ["{0..6..3}", ["0", "3", "6"]],
  ["{a,b}/{0..1}.tar", ["a/0.tar", "a/1.tar", "b/0.tar", "b/1.tar"]],
  ["{{00..01}/{0,1},65/{7}}.tar", ["00/0.tar", "00/1.tar", "01/0.tar", "01/1.tar", "65/{7}.tar"]],
  ["{a,}b", ["ab", "b"]],
  ["{one}", ["{one}"]],
  ["{-01..1}", ["-01", "000", "001"]],
])("%s", (pattern, expected) => {
  expect(expandBraces(pattern)).toEqual(expected)
})

test("an open brace and a list without end are refused", () => {
  expect(() => expandBraces("x{0..3.tar")).toThrow("character 2 is not closed")
  expect(() => expandBraces("{0..9999999}")).toThrow("more than 1000000")
  expect(() => expandBraces("{0..9999}{0..9999}")).toThrow("more than 1000000")
})

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "expand-"))
  for (const name of ["1.tar", "0.tar", "info.json", "manifest.jsonl", "9.jsonl"])
    await writeFile(join(folder, name), "")
})
afterAll(() => rm(folder, { recursive: true }))

test("folders, joined lists and arrays", async () => {
  const [first, second] = [join(folder, "0.tar"), join(folder, "1.tar")]
  expect(await expandShards(folder)).toEqual([first, second])
  expect(await expandShards(`${second}::${folder}/{0..1}.tar`)).toEqual([second, first, second])
  expect(await expandShards([second, first])).toEqual([second, first])
})

test("a list that names nothing is an error", async () => {
  await expect(expandShards("")).rejects.toThrow(UserError)
  await expect(expandShards(`${folder}/{0..2}.tar`)).rejects.toThrow(`${folder}/2.tar: no such shard or folder`)
  const empty = await mkdtemp(join(folder, "empty-"))
  await expect(expandShards(empty)).rejects.toThrow("holds no .tar file")
})

test("URLs keep their schemes and are not looked for; `::` in an IPv6 address does not separate", async () => {
  const list =
    "s3://bucket/{0..1}.tar::https://example.com/x/{a,b}.jsonl.gz?y=1::http://[::1]:80/0::hf://datasets/o/n/0.tar"
  expect(await expandShards(list)).toEqual([
    ...["s3://bucket/0.tar", "s3://bucket/1.tar"],
    ...["https://example.com/x/a.jsonl.gz?y=1", "https://example.com/x/b.jsonl.gz?y=1"],
    ...["http://[::1]:80/0", "hf://datasets/o/n/0.tar"],
  ])
  const url = pathToFileURL(folder).href
  expect(await expandShards(url)).toEqual([`${url}/0.tar`, `${url}/1.tar`])
})

test("a folder of JSONL, without the lists beside it, and a folder in a store", async () => {
  const lines = await mkdtemp(join(folder, "jsonl-"))
  const names = [
    "._0.jsonl",
    ".0.jsonl",
    "1.jsonl",
    "0.jsonl.zst",
    "2.jsonl.gz",
    "manifest.jsonl",
    "failures.jsonl",
    "info.json",
  ]
  for (const name of names) await writeFile(join(lines, name), "")
  expect(await expandShards(lines)).toEqual(["0.jsonl.zst", "1.jsonl", "2.jsonl.gz"].map((name) => join(lines, name)))
  const listed = ["0.tar", "0.tar.json", "1.tar", "deep/2.tar", "manifest.jsonl"]
  const storage = { ...openStorage(), list: async (path: string) => (path === "s3://bucket/set/" ? listed : []) }
  expect(await expandShards("s3://bucket/set/", storage)).toEqual(["s3://bucket/set/0.tar", "s3://bucket/set/1.tar"])
  await expect(expandShards("s3://bucket/none", storage)).rejects.toThrow(
    "s3://bucket/none: the folder holds no .tar file",
  )
})

test("info.json names shards beside it, in the folder around it, or by whole URLs", async () => {
  const set = await mkdtemp(join(folder, "set-"))
  const info = join(set, "info.json")
  await writeFile(join(set, "0.jsonl"), "")
  await writeFile(info, '{"lengths": {"0.jsonl": "6", "s3://b/1.jsonl": "6", "1.jsonl": "5"}}')
  expect(await expandShards(info)).toEqual([join(set, "0.jsonl"), "s3://b/1.jsonl", join(set, "1.jsonl")])
  await writeFile(info, JSON.stringify({ lengths: { [`${basename(set)}/0.jsonl`]: "6" } }))
  expect(await expandShards(info)).toEqual([join(set, "0.jsonl")])
  const many = Array.from({ length: 200_000 }, (_, i) => [`s3://b/${i}.jsonl`, "1"])
  await writeFile(info, JSON.stringify({ lengths: Object.fromEntries(many) }))
  expect(await expandShards(info)).toHaveLength(many.length)
  await writeFile(info, "{}")
  await expect(expandShards(info)).rejects.toThrow(`${info} lists no shards`)
  await expect(expandShards(join(set, "none/info.json"))).rejects.toThrow("none/info.json: no such file")
})

/** A store that holds one list, whose bytes are `{"lengths": {...}}`, and the files that `has` says. */
function listing(names: readonly string[], has: (url: string) => boolean = () => true): Storage {
  const text = JSON.stringify({ lengths: Object.fromEntries(names.map((name) => [name, "1"])) })
  const stat = async (url: string) => (has(url) ? { bytes: 1 } : null)
  return { ...openStorage(), readBytes: async () => new TextEncoder().encode(text), stat }
}

test("a list from elsewhere may name shards on its own server only", async () => {
  const names = ["0.tar", "deep/1.tar", "https://example.com/other/2.tar"]
  expect(await expandShards("https://example.com/set/info.json", listing(names))).toEqual([
    ...["https://example.com/set/0.tar", "https://example.com/set/deep/1.tar", "https://example.com/other/2.tar"],
  ])
  expect(await expandShards("hf://datasets/o/n@v1/set/info.json", listing(["hf://datasets/o/n/3.tar"]))).toEqual([
    "hf://datasets/o/n/3.tar",
  ])
  expect(
    await expandShards(
      "s3://b/set/info.json",
      listing(["set/0.tar"], (url) => url === "s3://b/set/0.tar"),
    ),
  ).toEqual(["s3://b/set/0.tar"])
})

test("a signature after a list's name does not change what it is, and shards may have their own", async () => {
  const signed = (path: string) => `https://h/set/${path}?X-Amz-Credential=A%2F1%2Fs3&X-Amz-Signature=0a`
  const names = ["0.tar", "deep/1.tar", "2.tar?se=2030-01-01T00:00:00Z&sig=a//b", signed("3.tar")]
  expect(await expandShards(signed("info.json"), listing(names))).toEqual([
    ...["https://h/set/0.tar", "https://h/set/deep/1.tar", `https://h/set/${names[2]}`, signed("3.tar")],
  ])
  expect(await expandShards(signed("0.tar"))).toEqual([signed("0.tar")])
  const above = listing(["set/0.tar"], (url) => url === "https://h/set/0.tar")
  expect(await expandShards(signed("info.json"), above)).toEqual(["https://h/set/0.tar"])
  await expect(expandShards(signed("info.json"), listing(["../0.tar?x=/y"]))).rejects.toThrow("outside of its folder")
})

test("shards of a server that signs addresses for GET alone", async () => {
  const server = createServer(({ method, url }, response) => {
    if (method !== "GET" || !url?.endsWith("?sig=1")) response.writeHead(403).end()
    else response.end(url.startsWith("/set/info.json") ? '{"lengths": {"0.tar?sig=1": "1"}}' : "tar")
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  try {
    const folder = `http://127.0.0.1:${(server.address() as AddressInfo).port}/set`
    expect(await expandShards(`${folder}/info.json?sig=1`)).toEqual([`${folder}/0.tar?sig=1`])
  } finally {
    server.closeAllConnections()
    server.close()
  }
})

test.each([
  ["s3://b/set/info.json", "../../../../tmp/victim.tar"],
  ["s3://b/set/info.json", "x/../../other.tar"],
  ["s3://b/set/info.json", "/etc/passwd"],
  ["s3://b/set/info.json", "file:///etc/passwd"],
  ["s3://b/set/info.json", "s3://other/0.tar"],
  ["s3://b/set/info.json", "s3://b/../other/0.tar"],
  ["s3://b/set/info.json", "http://169.254.169.254/latest/0.tar"],
  ["http://h/set/info.json", "http://127.0.0.1/0.tar"],
  ["http://h/set/info.json", "http://h@other/0.tar"],
  ["http://h/set/info.json", "http://h:8080/0.tar"],
  ["http://h/set/info.json", "%2e%2e/%2E./0.tar"],
  ["http://h/set/info.json", "..\\..\\0.tar"],
  ["http://h/set/info.json", "C:\\0.tar"],
  ["hf://datasets/o/n/info.json", "hf://datasets/o/private/0.tar"],
  ["hf://datasets/o/n/info.json", ""],
])("%s naming %j is refused", async (list, name) => {
  for (const names of [[name], ["0.tar", name]]) {
    const error: unknown = await expandShards(list, listing(names)).catch((error: unknown) => error)
    expect(error).toBeInstanceOf(UserError)
    expect((error as Error).message).toContain(`${list} names ${quoted(name)}`)
  }
})

test("the parent of a list's folder is on its server, too", async () => {
  const far = (list: string, name: string) =>
    expandShards(
      list,
      listing([name], (url) => !url.includes(list.slice(0, 9))),
    )
  await expect(far("http://h/info.json", "other.example/0.tar")).rejects.toThrow("is not at http://h")
  await expect(far("hf://datasets/o/n/info.json", "private/0.tar")).rejects.toThrow("is not at hf://datasets/o/n")
})

test("addresses with a name or a password are refused without them, in lists as well", async () => {
  for (const list of [
    "http://u:SECRET@host/{0..1}.tar",
    "a.tar::s3://u:SECRET@b/0.tar",
    "http://u:SEC::RET@host/0.tar",
  ]) {
    const error = await expandShards(list).catch((error: unknown) => error)
    expect(error).toBeInstanceOf(UserError)
    expect(`${(error as UserError).message} ${(error as UserError).hint}`).not.toMatch(/SEC|RET/)
  }
})

test.each(["a.tfrecord", "{0..1}.tfrecord.gz", "s3://b/train.tfrecord-00000-of-00512"])(
  "%s is said not to be read, with what to do",
  async (list) => {
    const error = expect.objectContaining({
      message: expect.stringContaining("TFRecord is not read here"),
      hint: expect.stringContaining("--output_format webdataset"),
    })
    await expect(expandShards(list)).rejects.toThrow(error)
  },
)

test("so is a folder that holds nothing else", async () => {
  const records = await mkdtemp(join(tmpdir(), "expand-"))
  await writeFile(join(records, "0.tfrecord"), "")
  await expect(expandShards(records)).rejects.toThrow("0.tfrecord: TFRecord is not read here")
  await rm(records, { recursive: true })
})
