/** `mobileclip embed` as it is typed: what it prints, its exit codes, and a death in the middle. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, beforeAll, expect, test } from "vitest"
import { contentsOf } from "../../../test/folder-contents.ts"
import { ended, isRunning, kill, startProgram } from "../../../test/program.ts"
import { tinyInfo, tinyModel } from "../../../test/tiny-model.ts"
import { renderScene } from "../../data/scenes/render.ts"
import { sampleScene } from "../../data/scenes/scene.ts"
import { exportModel } from "../../export/export.ts"
import { main } from "../main.ts"

let folder: string
const at = (...names: string[]) => join(folder, ...names)
const many = 300

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "embed-command-"))
  for (const name of ["few", "many"]) mkdirSync(at(name))
  await exportModel(tinyModel(), tinyInfo, at("tiny"))
  for (let i = 0; i < many; i++) {
    const picture = await renderScene(sampleScene(7, "train", i))
    writeFileSync(at("many", `${String(i).padStart(3, "0")}.jpg`), picture)
    if (i < 3) writeFileSync(at("few", `${i}.jpg`), picture)
  }
  writeFileSync(at("few", "empty.jpg"), "")
  writeFileSync(at("lines.txt"), "a cat\ntwo dogs\r\n")
})
afterAll(() => rmSync(folder, { recursive: true }))

async function embed(...argv: string[]) {
  let [out, err] = ["", ""]
  const io = { out: (text: string) => (out += text), err: (text: string) => (err += text) }
  const words = ["embed", ...argv, "--model", at("tiny"), "--threads", "1", "--progress", "none"]
  const code = await main(words, undefined, io)
  return { code, out: out.replaceAll(folder, "DIR"), err: err.replaceAll(folder, "DIR") }
}

test("a summary, each picture that is left out with its reason, and exit code 3; as JSON", async () => {
  const out = at("vectors")
  expect(await embed(at("few"), "--out", out)).toEqual({
    code: 3,
    out: "DIR/vectors: 3 pictures by tiny, 16 values each, of unit length\n",
    err: [
      "mobileclip: DIR/few/empty.jpg is empty\n",
      "mobileclip: 1 of 4 pictures could not be read: DIR/vectors/failures.jsonl\n",
    ].join(""),
  })
  const again = await embed(at("few"), "--out", out, "--json")
  expect(again.err).toBe("mobileclip: 1 of 4 pictures could not be read: DIR/vectors/failures.jsonl\n")
  const failures = [{ input: "DIR/few/empty.jpg", reason: "DIR/few/empty.jpg is empty" }]
  expect(JSON.parse(again.out)).toEqual([{ model: "tiny", folder: "DIR/vectors", rows: 3, embedDim: 16, failures }])
})

test("lines of a file as texts; --verbose says what was chosen", async () => {
  const { code, out, err } = await embed("--texts", at("lines.txt"), "--out", at("texts"), "--verbose")
  expect([code, out]).toEqual([0, "DIR/texts: 2 texts by tiny, 16 values each, of unit length\n"])
  expect(err).toMatch(
    /^model tiny: onnxruntime on cpu, 1 threads?, as asked for \(.*\); fp32; .*; 16 values a vector\nonnx\/text_model\.onnx: the graph was optimised.*\n$/,
  )
})

test.each([
  [["--out", "v"], "name pictures, or a list with --files-from"],
  [["a.jpg", "--texts", "b.txt", "--out", "v"], "give either pictures or --texts"],
  [["a.jpg"], "required option '--out <dir>' not specified"],
  [["a.jpg", "--out", "v", "--format", "jsonl", "--store", "float16"], "--store is of .npy files"],
  [["a.jpg", "--out", "v", "--store", "int8"], "Allowed choices are float32, float16"],
])("wrong usage: %j", async (argv, message) => {
  expect(await embed(...argv)).toMatchObject({ code: 2, err: expect.stringContaining(message) })
})

test("killed three times on the way and started again: nothing is lost, nothing comes twice, the same bytes", async () => {
  const [whole, killed] = [at("whole"), at("killed")]
  const options = ["--part-size", "20", "--model", at("tiny"), "--threads", "1", "--progress", "none"]
  const words = (out: string) => ["embed", at("many"), ...options, "--out", out]
  expect(await ended(startProgram(words(whole)))).toBe(0)
  for (const parts of [2, 5, 9]) {
    const child = startProgram(words(killed), {
      env: { ...process.env, NODE_OPTIONS: `--import ${standsStill(parts)}` },
    })
    while (isRunning(child) && partsIn(killed) < parts) await sleep(5)
    expect(kill(child)).toBe(true)
    await ended(child)
    expect(partsIn(killed)).toBe(parts)
  }
  expect(await ended(startProgram(words(killed)))).toBe(0)
  expect(contentsOf(killed)).toEqual(contentsOf(whole))
  expect(partsIn(killed)).toBe(many / 20)
}, 120_000)

/** What a process loads first to stand still when it has made so many parts, however late it is killed. */
function standsStill(parts: number): string {
  const path = at("stands-still.mjs")
  writeFileSync(
    path,
    `import fs from "node:fs"
    import { syncBuiltinESMExports } from "node:module"
    const { rename } = fs.promises
    fs.promises.rename = async (from, to) => {
      await rename(from, to)
      if (/_done.${parts - 1}\\.json$/.test(to)) process.kill(process.pid, "SIGSTOP")
    }
    syncBuiltinESMExports()`,
  )
  return path
}

function partsIn(out: string): number {
  try {
    return readdirSync(join(out, "_done")).filter((name) => /^\d+\.json$/.test(name)).length
  } catch {
    return 0
  }
}
