import { readdirSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { expect, test } from "vitest"

test("whatever loads ONNX Runtime turns its reports off before", () => {
  const root = fileURLToPath(new URL("..", import.meta.url))
  const files = readdirSync(root, { recursive: true, encoding: "utf8" }).filter((name) => /(?<!\.test)\.ts$/.test(name))
  const loading = files.flatMap((name) => {
    const text = readFileSync(`${root}${name}`, "utf8")
    const loads = /^import (?!type).*"onnxruntime-node"|import\("onnxruntime-node"\)/m.exec(text)
    return loads ? [{ name, before: text.slice(0, loads.index) }] : []
  })
  expect(loading.map(({ name }) => name).sort()).toEqual([
    "doctor/onnxruntime.ts",
    "experiments/quickstart/report-data.ts",
    "run/session.ts",
  ])
  for (const { name, before } of loading) expect(before, name).toMatch(/^import "(\.\.\/)+host\/no-telemetry\.ts"$/m)
})
