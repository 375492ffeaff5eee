/**
 * A process that searches again and again: `node dist/test/search-and-reopen.js queries INDEX TIMES` asks one open index what is
 * like its pictures; `scanner INDEX TIMES` opens its file of vectors anew for each scan. Each of TIMES is 50 of them. Prints as
 * JSON the resident bytes, the mappings and the open files after each.
 */
import { readdirSync, readFileSync } from "node:fs"
import { openScanner } from "../src/search/scan/scanner.ts"
import { SearchIndex } from "../src/search/search-index.ts"
import { IndexStore } from "../src/search/store/index-store.ts"
import { vectorOffset } from "../src/search/store/vector-file.ts"

const [what, folder, times] = process.argv.slice(2) as ["queries" | "scanner", string, string]
const atOnce = 50
const resident: number[] = []
const held: { mappings: number; files: number }[] = []

await { queries, scanner }[what]()
console.log(JSON.stringify({ resident, held }))

async function queries(): Promise<void> {
  await using index = await SearchIndex.open(folder, { cache: false })
  await repeat(async (n) => void (await index.similar(`/pictures/${n % 100}.jpg`, { limit: 10 })))
}

async function scanner(): Promise<void> {
  using store = IndexStore.open(folder)
  const { count } = store
  const generation = store.active()
  const [path, codes] = [store.vectorsPath(generation), store.codesPath(generation)]
  const query = new Float32Array(generation.dim).fill(0.1)
  await repeat(async () => {
    const opened = openScanner(path, { dim: generation.dim, offset: vectorOffset, codes, use: "codes" })
    await opened.scan({ query, count, k: 10, threads: 2 })
    opened.close()
  })
}

async function repeat(work: (n: number) => Promise<void>): Promise<void> {
  for (let time = 0; time < Number(times); time++) {
    for (let i = 0; i < atOnce; i++) await work(time * atOnce + i)
    globalThis.gc!()
    // For what native code frees after that.
    await new Promise((resolve) => setTimeout(resolve, 20))
    resident.push(process.memoryUsage.rss())
    held.push({ mappings: mappings(), files: readdirSync("/proc/self/fd").length })
  }
}

/** Those of vectors and codes: SQLite and the allocator make others as they like. */
function mappings(): number {
  const lines = readFileSync("/proc/self/maps", "utf8").split("\n")
  return lines.filter((line) => line.includes(folder) && !line.includes("sqlite")).length
}
