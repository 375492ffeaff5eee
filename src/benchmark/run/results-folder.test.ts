import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, test } from "vitest"
import { FullDisk } from "../../../test/full-disk.ts"
import { EnvironmentError } from "../../core/errors.ts"
import { noFacts } from "./evaluated-model.ts"
import { type EvaluationFile, ResultsFolder } from "./results-folder.ts"

const evaluation: EvaluationFile = {
  ...{ format: "mobileclip-evaluation", version: 1, data: "/data", suite: "own", settings: {} },
  model: { name: "model", identity: "model", ...noFacts },
}

const result = (key: string, metrics: number) => ({
  ...{ key, dataset: key },
  metrics: Object.fromEntries(Array.from({ length: metrics }, (_, i) => [`metric ${i}`, i])),
})

/** Takes what a small file system has left. */
function fill(path: string): void {
  try {
    for (;;) appendFileSync(path, Buffer.alloc(4096))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error
  }
}

test("a full disk takes a part of a line, which does not stay; the lines before do", async ({ skip }) => {
  const place = mkdtempSync(join(tmpdir(), "results-folder-"))
  try {
    using disk = FullDisk.mount(place, 1)
    if (!disk) return skip("mounting takes root's rights")
    rmSync(join(disk.path, "full"))
    const folder = await ResultsFolder.open(join(disk.path, "run"), evaluation)
    await folder.add(result("first", 1), null)
    const lines = readFileSync(join(disk.path, "run", "results.jsonl"))
    fill(join(disk.path, "full"))
    await expect(folder.add(result("second", 1000), null)).rejects.toThrow(EnvironmentError)
    expect(readFileSync(join(disk.path, "run", "results.jsonl")).equals(lines)).toBe(true)
    expect(folder.done.map(({ key }) => key)).toEqual(["first"])
    expect(readdirSync(join(disk.path, "run")).sort()).toEqual(["answers", "evaluation.json", "results.jsonl"])
    writeFileSync(join(disk.path, "full"), "")
    await folder.add(result("second", 1000), null)
    expect((await ResultsFolder.open(join(disk.path, "run"), evaluation)).done).toHaveLength(2)
  } finally {
    rmSync(place, { recursive: true })
  }
})
