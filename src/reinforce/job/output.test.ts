import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { openStorage } from "../../data/stores/open.ts"
import { requireOutput, ShardOutput } from "./output.ts"

test.each([
  ["out/0.tar", "out"],
  ["/data/out/00/0.tar", "/data/out/"],
  ["s3://b/out/a%20b.tar", "s3://b/out"],
  ["s3://b/out/100%.tar", "s3://b/out"],
  ["s3://b/out/a%ff b.tar", "s3://b/out"],
  ["/data/out/100% schöne Übersicht.tar", "/data/out"],
  ["file:///out/0.jsonl", "file:///out"],
  ["file:///out/a b/%C3%80 %231.tar", "file:///out"],
  ["file:///a%20b/0.tar", "file:///a%20b/"],
])("%s is inside of %s", (output, folder) => {
  requireOutput(output, folder)
})

test.each([
  ["/victim/keep", "/data/out", 'the output "/victim/keep" is not inside of "/data/out", the job\'s output'],
  ["/data/outer/0.tar", "/data/out", "is not inside of"],
  ["/data/out", "/data/out", "is not inside of"],
  ["s3://other/out/0.tar", "s3://b/out", "is not inside of"],
  ["/data/out/", "/data/out", 'the task names ""'],
  ["/data/out/../victim/keep", "/data/out", 'the task names "../victim/keep", which could be outside of its folder'],
  ["/data/out//victim", "/data/out", "could be outside of its folder"],
  ["s3://b/out/%2e%2e/victim", "s3://b/out", 'the task names "../victim"'],
  ["file:///out/a%2f..%2f..%2fvictim", "file:///out", 'the task names "a/../../victim"'],
  ["file:///X/out/a%ff/%2e%2e/%2e%2e/victim/keep.tar", "file:///X/out", 'the task names "a%ff/../../victim/keep.tar"'],
  ["file:///X/out/a%ff.tar", "file:///X/out", "is not a file's address: URI malformed"],
  ["file:///X/out/.%2e/.%2E/etc/cron.d/x.tar", "file:///X/out", 'the task names "../../etc/cron.d/x.tar"'],
  ["s3://b/out/a%ff/%2e%2e/victim.tar", "s3://b/out", 'the task names "a%ff/../victim.tar"'],
  // A URL's last spaces do not belong to it.
  ["file:///X/out/a/.. ", "file:///X/out", 'the task names ""'],
  ["file:///X/out/failures.jsonl ", "file:///X/out", "is not a shard's"],
  ["file:///X/out/config.json?x", "file:///X/out", 'has a "?" or "#"'],
  ["file:///X/out/config.json#x.tar", "file:///X/out", 'has a "?" or "#"'],
  ["file:///X/out/%63onfig.json", "file:///X/out", "is not a shard's"],
  ["file:///X/out/%5fdone/0.tar", "file:///X/out", "is not a shard's"],
  ["file:///X/out/%2elock", "file:///X/out", "is not a shard's"],
  ["s3://b/out/%46ailures.jsonl", "s3://b/out", "is not a shard's"],
  ["/X/out/.lock", "/X/out", "is not a shard's"],
  ["/X/out/.0.tar", "/X/out", "is not a shard's"],
  ["/X/out/a/.git/0.tar", "/X/out", "is not a shard's"],
  ["/X/out/join.json", "/X/out", "is not a shard's"],
  ["/X/out/0", "/X/out", "is not a shard's"],
  ["/data/out/config.json", "/data/out", "is not a shard's"],
  ["/data/out/_done/0.tar.json", "/data/out", "is not a shard's"],
])("%s is not a shard of %s", (output, folder, message) => {
  expect(() => requireOutput(output, folder)).toThrow(message)
})

let folder: string
const at = (...names: string[]) => join(folder, ...names)
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "output-"))
  for (const name of ["out", "out/deep", "victim"]) mkdirSync(at(name))
  symlinkSync("../victim", at("out", "link"))
  symlinkSync("../nowhere", at("out", "dangling"))
  symlinkSync("deep", at("out", "within"))
  symlinkSync("out", at("alias"))
})
afterAll(() => rmSync(folder, { recursive: true }))

const outputOf = (name: string, home = at("out")) => new ShardOutput(openStorage(), `${home}/${name}`, home)

test.each(["link", "dangling"])("a link that leads out of the output (%s) is not followed", async (name) => {
  writeFileSync(at("victim", "keep.tar"), "precious")
  for (const home of [at("out"), `file://${at("out")}`, at("alias")]) {
    const output = outputOf(`${name}/keep.tar`, home)
    await expect(output.put([Buffer.from("new")])).rejects.toThrow("a link leads to")
    await expect(output.remove()).rejects.toThrow("a link leads to")
  }
  expect(readFileSync(at("victim", "keep.tar"), "utf8")).toBe("precious")
  expect(existsSync(at("nowhere"))).toBe(false)
})

test("a link that comes while the shard is made is not followed", async () => {
  writeFileSync(at("victim", "late.tar"), "precious")
  mkdirSync(at("out", "late"))
  async function* chunks() {
    yield Buffer.from("new")
    rmSync(at("out", "late"), { recursive: true })
    symlinkSync("../victim", at("out", "late"))
  }
  await expect(outputOf("late/late.tar").put(chunks())).rejects.toThrow("a link leads to")
  expect(readFileSync(at("victim", "late.tar"), "utf8")).toBe("precious")
})

test("links within the output, and one at the output, are followed", async () => {
  await outputOf("within/0.tar").put([Buffer.from("new")])
  await outputOf("new folder/1 %.tar", at("alias")).put([Buffer.from("new")])
  expect(readFileSync(at("out", "deep", "0.tar"), "utf8")).toBe("new")
  expect(readFileSync(at("out", "new folder", "1 %.tar"), "utf8")).toBe("new")
})
