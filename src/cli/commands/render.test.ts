import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, expect, test } from "vitest"
import { killCommand } from "../../../test/kill-command.ts"
import { sha256OfFile } from "../../host/files/hash.ts"
import { lockFolder } from "../../host/locks/lock.ts"
import { main } from "../main.ts"

const folder = mkdtempSync(join(tmpdir(), "render-"))
afterAll(() => rmSync(folder, { recursive: true }))

const argv = (out: string) => [
  "render",
  "--out",
  out,
  "--train",
  "150",
  "--test",
  "10",
  "--retrieval",
  "10",
  "--progress",
  "none",
]

async function render(out: string) {
  const err: string[] = []
  const code = await main(argv(out), undefined, { out: () => {}, err: (text) => err.push(text) })
  return { code, err: err.join("") }
}

test("after it was killed within a shard, a second run writes the same bytes and leaves nothing hidden", {
  timeout: 60_000,
}, async () => {
  const [out, whole] = [join(folder, "killed"), join(folder, "whole")]
  await killCommand(argv(out), folder, /^killed\/train\/\.00000\.tar\./)
  expect(readdirSync(join(out, "train"))).toHaveLength(1)
  for (const place of [out, whole]) expect(await render(place)).toEqual({ code: 0, err: "" })
  const paths = readdirSync(out, { recursive: true }).map(String).sort()
  expect(paths).toEqual([
    "info.json",
    "retrieval",
    "retrieval/00000.tar",
    "test",
    "test/00000.tar",
    "train",
    "train/00000.tar",
  ])
  for (const path of paths.filter((path) => path.includes(".")))
    expect(await sha256OfFile(join(out, path)), path).toEqual(await sha256OfFile(join(whole, path)))
})

test("a folder in which another process works is refused in one line", async () => {
  const out = join(folder, "held")
  using _ = await lockFolder(out, "mobileclip train")
  const { code, err } = await render(out)
  expect(code).toBe(1)
  expect(err).toContain(`${out} is in use: mobileclip train (process ${process.pid})`)
  expect(readdirSync(out)).toEqual([".lock"])
})

test("the list of another data set is not replaced", async () => {
  const out = join(folder, "other")
  mkdirSync(out)
  writeFileSync(join(out, "info.json"), '{"lengths": {}}')
  const { code, err } = await render(out)
  expect([code, err]).toEqual([1, expect.stringContaining("info.json is of another data set and is not replaced")])
  expect(readdirSync(out)).toEqual(["info.json"])
})
