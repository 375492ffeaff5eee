/** A process that holds one side: it is told which, then queries, one after the other. */
import { readFileSync } from "node:fs"
import { messageOf } from "../../src/core/errors.ts"
import { peakMemory } from "../../src/host/peak-memory.ts"
import type { Answer, Question } from "./side.ts"
import { sides, type VectorIndex } from "./vector-index.ts"

let index: VectorIndex | null = null

process.on("message", async (question: Question) => {
  try {
    process.send!(await answer(question))
  } catch (error) {
    process.send!({ kind: "failed", message: messageOf(error) } satisfies Answer)
  }
})

async function answer(question: Question): Promise<Answer> {
  if ("dataset" in question) {
    const from = performance.now()
    index = await sides[question.side](question.dataset)
    return { kind: "opened", settings: index.settings, seconds: (performance.now() - from) / 1000 }
  }
  // A copy with memory of its own: usearch reads from where a view's memory begins.
  const query = question.query.slice()
  const from = performance.now()
  const positions = await index!.search(query, question.k)
  return { kind: "found", positions, milliseconds: performance.now() - from, memory: memory() }
}

/** In bytes; 0 where the system does not say (it is not Linux). */
function memory() {
  const field = (name: string) => {
    try {
      const found = new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(readFileSync("/proc/self/smaps_rollup", "utf8"))
      return Number(found?.[1] ?? 0) * 1024
    } catch {
      return 0
    }
  }
  return { peak: peakMemory(), resident: field("Rss"), proportional: field("Pss"), anonymous: field("Anonymous") }
}
