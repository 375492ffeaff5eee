/**
 * `node dist/test/mcp-program.js FOLDER [allow-files]`: a server over the pictures of a folder, whose search gives them in the
 * order of their names and says what it was asked, and which prints to standard output as a careless library would.
 */
import { readdirSync } from "node:fs"
import { join } from "node:path"
import { UserError } from "../src/core/errors.ts"
import type { SearchedIndex } from "../src/mcp/searched-index.ts"
import { serveStdio } from "../src/mcp/serve-stdio.ts"
import { createServer } from "../src/mcp/server.ts"
import { pageOf } from "./search-page.ts"

const [folder = "", allow] = process.argv.slice(2)
const paths = readdirSync(folder)
  .sort()
  .map((name) => join(folder, name))

const index: SearchedIndex = {
  async search({ terms, filters, limit, cursor, signal }) {
    console.log("a line of a library")
    const first = terms[0] ?? { kind: "list" }
    if (first.kind === "text" && first.text === "a bug") throw new TypeError("a fault of ours")
    if (first.kind === "text" && first.text === "an error") throw new UserError("the index is damaged", "make it again")
    if (first.kind === "text" && first.text === "slow") await new Promise((resolve) => setTimeout(resolve, 300))
    if (first.kind === "text" && first.text === "for ever")
      await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)))
    const from = Number(cursor ?? 0)
    const shown = paths.slice(from, from + limit)
    const page = pageOf(shown.slice(0, 1), shown.slice(1))
    const next = from + limit < paths.length ? String(from + limit) : null
    return { ...page, cursor: next, notes: [JSON.stringify({ terms, filters })] }
  },
  async describe() {
    return {
      ...{
        pictures: paths.length,
        files: paths.length,
        model: "tiny",
        source: "/models/tiny",
        dim: 64,
        roots: [folder],
        cameras: [],
        formats: [],
      },
      ...{ taken: null, failures: { count: 0, some: [] } },
    }
  },
  hasFile: (path) => paths.includes(path),
  async classify(asked, labels, { top }) {
    const scores = labels.map((label, i) => ({ label, score: 1 / labels.length, cosine: 0.3 - i / 10 }))
    return asked.map((path) => ({ path, labels: scores.slice(0, top), error: null }))
  },
}

await serveStdio(createServer(index, { allowFiles: allow !== undefined, onError: (line) => console.error(line) }))
