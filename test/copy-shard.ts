/**
 * A process that stands for inference in tests: copies a shard in capitals, slowly. Started by copy-runner.ts with the
 * paths as arguments. A shard is a text of `samples` lines; its first line may say how long a line takes: `100 ms`.
 */
import { readFile, rename, writeFile } from "node:fs/promises"
import { setTimeout as sleep } from "node:timers/promises"

process.on("disconnect", () => process.exit(1))

const [input, output] = process.argv.slice(2) as [string, string]
const lines = (await readFile(input, "utf8")).trimEnd().split("\n")
const pause = Number(/^(\d+) ms$/.exec(lines[0]!)?.[1] ?? 0)
for (const [i, line] of lines.entries()) {
  if (line === "broken") process.exit(3)
  await sleep(pause)
  // Whoever waited may be dead by now.
  process.send!(i + 1, () => {})
}
await writeFile(`${output}.${process.pid}`, `${lines.join("\n").toUpperCase()}\n`)
await rename(`${output}.${process.pid}`, output)
process.exit(0)
