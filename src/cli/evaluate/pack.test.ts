import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import sharp from "sharp"
import { afterEach, beforeEach, expect, test } from "vitest"
import { main } from "../main.ts"

let folder: string
const before = process.cwd()

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "pack-command-"))
  process.chdir(folder)
  for (const [i, name] of ["jay", "owl"].entries()) {
    mkdirSync(`pictures/${name}`, { recursive: true })
    await sharp({ create: { width: 9, height: 9, channels: 3, background: { r: 90 * i, g: 9, b: 9 } } }).toFile(
      `pictures/${name}/1.jpg`,
    )
  }
})
afterEach(() => {
  process.chdir(before)
  rmSync(folder, { recursive: true })
})

async function run(...words: string[]) {
  let [out, err] = ["", ""]
  const argv = ["evaluate", "pack", ...words, "--progress", "none"]
  const code = await main(argv, undefined, { out: (text) => (out += text), err: (text) => (err += text) })
  return { code, out, err }
}

test("a folder becomes a task; the end says what may be edited and what comes next", async () => {
  const { code, out, err } = await run("pictures", "--out", "data/my birds")
  expect([code, err]).toEqual([0, ""])
  expect(out).toBe(
    [
      "data/my birds/test: 2 pictures of 2 classes in 1 shard, 0.0 MB",
      "edit:   classnames.txt and zeroshot_classification_templates.txt in data/my birds",
      "next:   mobileclip evaluate --model MODEL --data data --task 'my birds'\n",
    ].join("\n"),
  )
  expect(readFileSync("data/my birds/zeroshot_classification_templates.txt", "utf8")).toBe("a photo of a {c}.\n")
})

test.each([
  ["data/my/birds", "--data data --task my/birds"],
  ["data/my/birds/", "--data data --task my/birds"],
  ["birds", "--data . --task birds"],
])("%s is a task of its root", async (out, words) => {
  expect((await run("pictures", "--out", out)).out).toContain(`next:   mobileclip evaluate --model MODEL ${words}\n`)
})

test("columns and templates reach the library; what is left out is a line and exit code 3", async () => {
  writeFileSync("list.csv", "file,kind,place\npictures/jay/1.jpg,jay,lake\nnone.jpg,owl,wood\n")
  const columns = ["--image-column", "file", "--class-column", "kind", "--group-column", "place"]
  const { code, out, err } = await run("list.csv", "--out", "t", ...columns, "--template", "a {}", "--json")
  expect(code).toBe(3)
  expect(JSON.parse(out)).toMatchObject({
    ...{ out: "t", split: "test", kind: "classification", samples: 1, shards: 1, classNames: ["jay", "owl"] },
    groups: [{ name: "place", groups: ["lake", "wood"] }],
    leftOut: [{ path: join(process.cwd(), "none.jpg") }],
  })
  expect(err).toMatch(/^mobileclip: left out: .*none\.jpg: .*; all of them are in t\/test\/failures\.jsonl\n$/)
  expect(readFileSync("t/zeroshot_classification_templates.txt", "utf8")).toBe("a {c}\n")
})

test("a further split is followed by the command that reads it, if there is one", async () => {
  const nextOf = async (split: string) => {
    const { code, out } = await run("pictures", "--out", "more", "--split", split)
    expect(code).toBe(0)
    return /^next: +(.*)$/m.exec(out)?.[1] ?? null
  }
  expect(await nextOf("test")).toMatch(/ --task more$/)
  expect(await nextOf("train")).toMatch(/ --task more --probe linear$/)
  expect(await nextOf("val")).toBeNull()
})
