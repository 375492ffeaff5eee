/** `index import` and `index export`, as words of a command line. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { tinyInfo, tinyModel } from "../../../test/tiny-model.ts"
import { exportModel } from "../../export/export.ts"
import { type CommandTable, main } from "../main.ts"
import { registerExport } from "./index-export.ts"
import { registerImport } from "./index-import.ts"

let folder: string
const at = (name: string) => join(folder, name)

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "exchange-"))
  await exportModel(tinyModel(), tinyInfo, at("tiny"))
  const vector = Array.from({ length: tinyInfo.config.embedDim }, (_, i) => (i === 0 ? 1 : 0))
  const rows = [0, 1].map((i) => JSON.stringify({ path: `/phone/${i}.jpg`, vector, caption: `n ${i}` }))
  writeFileSync(at("v.jsonl"), rows.join("\n"))
})
afterAll(() => rmSync(folder, { recursive: true }))

const table: CommandTable = {
  index: {
    summary: "an index",
    load: async () => ({
      register(program, context) {
        const command = program.command("index")
        registerImport(command, context)
        registerExport(command, context)
      },
    }),
  },
}

async function run(...words: string[]) {
  const [out, err]: [string[], string[]] = [[], []]
  const output = { out: (text: string) => void out.push(text), err: (text: string) => void err.push(text) }
  return { code: await main(["index", ...words], table, output), out: out.join(""), err: err.join("") }
}

test("what is missing is said before any work", async () => {
  const { code, err } = await run("import", at("v.jsonl"), "--index", at("i"))
  expect(code).toBe(1)
  expect(err).toContain("the index is new, and no model was named")
  expect((await run("import")).code).toBe(2)
  const unnamed = await run("export", "--index", at("i"))
  expect(unnamed).toMatchObject({ code: 2, err: expect.stringContaining("see mobileclip index export --help") })
  const wrong = await run("import", at("v.jsonl"), "--index", at("i"), "--model", at("tiny"), "--map", "photos")
  expect(wrong.err).toContain("photos is not FROM=TO")
})

test("an import that can compare nothing takes no vectors, and says why", async () => {
  const words = [
    "import",
    at("v.jsonl"),
    "--index",
    at("i"),
    "--model",
    at("tiny"),
    "--same-model",
    "--progress",
    "none",
  ]
  const { code, out } = await run(...words, "--map", "/phone=/here")
  expect(code).toBe(0)
  expect(
    out,
  ).toBe(`jsonl: 2 pictures; vectors are not taken over: none of its pictures that have one is here, so that they cannot be compared
0 added (0 encoded by tiny, 0 whose file is not here), 0 were there, 2 left out
`)
  const { out: json } = await run(...words, "--json", "--check")
  expect(JSON.parse(json)).toMatchObject({
    kind: "jsonl",
    pictures: 2,
    added: 0,
    vectors: { reused: false, check: null },
  })
})

test("an export of an index without pictures is an empty file", async () => {
  const { code, out } = await run(
    "export",
    "--index",
    at("i"),
    "--to",
    at("out.jsonl"),
    "--format",
    "jsonl",
    "--progress",
    "none",
  )
  expect(code).toBe(0)
  expect(out).toContain("0 pictures by tiny")
  expect(readFileSync(at("out.jsonl"), "utf8")).toBe("")
})
