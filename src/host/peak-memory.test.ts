import { execFileSync } from "node:child_process"
import { expect, test } from "vitest"
import { peakMemory } from "./peak-memory.ts"

test("what was touched counts, and what the process that started this one took does not", () => {
  const large = Buffer.alloc(400e6, 1)
  expect(peakMemory()).toBeGreaterThan(large.length)
  const program = `import(${JSON.stringify(new URL("../../dist/src/host/peak-memory.js", import.meta.url).href)}).then((m) => console.log(m.peakMemory()))`
  const child = Number(execFileSync(process.execPath, ["-e", program], { encoding: "utf8" }))
  expect(child).toBeGreaterThan(20e6)
  expect(child).toBeLessThan(large.length)
})
