/** The programs of examples/, one after the other: each takes what the one before left. */
import { type ChildProcessWithoutNullStreams, execFile, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, relative } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { afterAll, beforeAll, expect, test } from "vitest"
import { readShard } from "../src/data/shards.ts"

const root = fileURLToPath(new URL("..", import.meta.url))
let folder: string

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "examples-"))
})
afterAll(() => rmSync(folder, { recursive: true }))

async function run(name: string, ...args: string[]): Promise<string> {
  const program = join(root, "dist/examples", `${name}.js`)
  return (await promisify(execFile)(process.execPath, [program, ...args], { cwd: folder })).stdout
}

test("data, train, convert, classify, embed, evaluate, reinforce, shards, finetune, search, torch", async () => {
  expect(await run("data", "scenes")).toMatch(/^\S+: jpg \d+ bytes, /)
  expect(await run("train", "scenes/train", "run")).toMatch(/^run\/model\.safetensors: loss \d\.\d{3} after 2 steps\n$/)
  expect(await run("convert", "run/model.safetensors", "model")).toContain("onnx/vision_model.onnx\n")
  await writePictures()
  expect(await run("classify", "model", "red,blue", "pictures/a/0.jpg")).toMatch(/^pictures\/a\/0\.jpg: (red|blue) \d/)
  expect(await run("embed", "model", "pictures/a", "vectors")).toMatch(
    /^vectors: 8 vectors of \d+ values\n(pictures\/a\/\d\.jpg: (red|blue)\n){8}$/,
  )
  expect(await run("evaluate", "model", "evaluation")).toMatch(
    /^self\/shape: \d+\.\d % \(acc1, 48 answers\)\nself\/retrieval: \d+\.\d % \(mean_recall@1, 144 answers\)\n$/,
  )
  expect(await run("reinforce", "scenes/train", "reinforced", "model")).toMatch(/00000\.tar: 64 samples, \d+ bytes\n$/)
  expect(await run("shards", "scenes/train", "reinforced", "joined", "model")).toMatch(
    /^64 pictures joined, 0 without reinforcement\nimage_emb, text_emb in \d+ bytes, 0 problems\n4 views in joined\/views/,
  )
  expect(await run("finetune", "pictures", "run/model.safetensors", "tuned")).toMatch(/^\d.* before, \d.* after; tuned/)
  expect(await run("search", "model", "pictures", "index", "a red circle")).toMatch(
    /^16 pictures encoded, 16 files in the index\nthe best 3 of 16\n(-?\d\.\d{3} (match|weak) \S+\.jpg\n){3}$/,
  )
  expect(await run("torch")).toBe("2 4 6\n")
}, 300_000)

test("client.ts and client.sh, of a server with a token", async () => {
  const env = { ...process.env, MOBILECLIP_TOKEN: "a token of the test" }
  const words = ["serve", "--model", "model", "--port", "0", "--threads", "1", "--log", "none"]
  const server = spawn(process.execPath, [join(root, "bin/mobileclip.js"), ...words], { cwd: folder, env })
  try {
    const asking = { cwd: folder, env: { ...env, MOBILECLIP_URL: await addressOf(server) } }
    const run = (program: string, ...words: string[]) => promisify(execFile)(program, words, asking)
    const client = join(root, "dist/examples/client.js")
    const { stdout } = await run(process.execPath, client, "pictures/a/0.jpg", "a red circle", "a blue ring")
    expect(stdout).toMatch(/^-?\d\.\d{3} a red circle\n-?\d\.\d{3} a blue ring\n$/)
    const script = join(root, "examples/client.sh")
    const text = 'a "red" circle\\\n'
    const [vector, labels] = (await run("sh", script, "pictures/a/0.jpg", text)).stdout.trim().split("\n")
    expect(JSON.parse(vector!).data[0].embedding.length).toBeGreaterThan(100)
    expect(JSON.parse(labels!)).toMatchObject({
      model: "model",
      results: [[{ label: expect.stringMatching(/red|blue/) }]],
    })
  } finally {
    server.kill("SIGTERM")
    // The folder is removed after it.
    if (server.exitCode === null) await once(server, "exit")
  }
}, 60_000)

/** As it says it, in a line that may come in pieces and after others. */
function addressOf({ stderr }: ChildProcessWithoutNullStreams): Promise<string> {
  let said = ""
  return new Promise((resolve, reject) => {
    stderr.on("data", (data) => {
      said += data
      const [address] = /http:\S+(?=\s)/.exec(said) ?? []
      if (address) resolve(address)
    })
    stderr.once("close", () => reject(new Error(`it ended: ${said}`)))
  })
}

/** 8 pictures of the shard in each of two class folders. */
async function writePictures(): Promise<void> {
  for (const name of ["a", "b"]) mkdirSync(join(folder, "pictures", name), { recursive: true })
  let count = 0
  for await (const { members } of readShard(join(folder, "scenes/train/00000.tar"))) {
    if (count === 16) break
    writeFileSync(join(folder, "pictures", count % 2 ? "a" : "b", `${count >> 1}.jpg`), members.get("jpg")!)
    count++
  }
}

/** Without what a reader has installed and built beside the page. */
const built = /^vite-page\/(node_modules|dist|public|package-lock\.json)/
const examples = readdirSync(join(root, "examples"), { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => relative(join(root, "examples"), join(entry.parentPath, entry.name)))
  .filter((name) => !built.test(name))
const textOf = (path: string) => readFileSync(join(root, path), "utf8")

test("what is there to be copied runs on the oldest Node that is supported: it disposes without `using`", () => {
  const markdown = ["README.md", ...readdirSync(join(root, "docs")).map((name) => `docs/${name}`)]
  const blocks = markdown.flatMap((name) => {
    return [...textOf(name).matchAll(/```(?:ts|js|mjs)\n([\s\S]*?)```/g)].map(([, code]) => ({ name, code: code! }))
  })
  expect(blocks.length).toBeGreaterThan(0)
  for (const { name, code } of [...blocks, ...examples.map((name) => ({ name, code: textOf(`examples/${name}`) }))])
    expect(code, name).not.toMatch(/\busing\s+\w+\s*=|Symbol\.(asyncD|d)ispose/)
})

test("no example is longer than 30 lines", () => {
  expect(examples).toContain("vite-page/main.ts")
  for (const name of examples.filter((name) => name !== "README.md"))
    expect(textOf(`examples/${name}`).split("\n").length, name).toBeLessThanOrEqual(31)
})

test("examples/README.md lists every example, with the command that its first lines have", () => {
  const rows = [...textOf("examples/README.md").matchAll(/^\| \[([^\]]+)\]\(\1\) +\|.*$/gm)]
  const names = new Set(examples.map((name) => name.split("/")[0]!))
  names.delete("README.md")
  expect(rows.map(([, name]) => name).sort()).toEqual([...names].sort())
  const commands = rows
    .filter(([, name]) => name!.endsWith(".ts"))
    .flatMap(([row, name]) => {
      const [shown] = /`node dist\/examples\/[^`]+`/.exec(textOf(`examples/${name}`)) ?? []
      return shown ? [[row, shown] as const] : []
    })
  expect(commands).toHaveLength(12)
  for (const [row, shown] of commands) expect(row).toContain(shown)
})

test("examples/compose.yaml is that of docs/serve.md, whose command and exchange src/serve/compose.test.ts runs", () => {
  const [, shown] = /```yaml\n([\s\S]*?)```/.exec(textOf("docs/serve.md"))!
  expect(textOf("examples/compose.yaml")).toBe(shown)
})
