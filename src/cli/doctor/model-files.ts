/** Whether the files of a model directory are those that its manifest lists, byte for byte. */
import { stat } from "node:fs/promises"
import { join } from "node:path"
import { type Manifest, towers } from "../../core/inference/manifest.ts"
import { sourceOf } from "../../weights/open-checkpoint.ts"
import { type Check, checksOf } from "./check.ts"

const { ok, problem } = checksOf("Model")

/** A problem for each file that is wrong; one line where all are right. */
export async function fileChecks(directory: string, { files }: Manifest): Promise<Check[]> {
  const wrong: Check[] = []
  for (const [file, expected] of Object.entries(files)) {
    const fault = await faultOf(join(directory, file), expected)
    if (fault) wrong.push(fileProblem(file, fault))
  }
  const unlisted = Object.values(towers).filter(({ file }) => !Object.hasOwn(files, file))
  wrong.push(...unlisted.map(({ file }) => fileProblem(file, "is not in the manifest")))
  if (wrong.length > 0) return wrong
  const bytes = Object.values(files).reduce((sum, file) => sum + file.bytes, 0)
  const count = Object.keys(files).length
  return [
    ok("files", `${count}, ${(bytes / 1e6).toFixed(1)} MB, sizes and sha256 as listed`, { facts: { count, bytes } }),
  ]
}

async function faultOf(path: string, expected: Manifest["files"][string]): Promise<string | null> {
  const found = await stat(path).catch(() => null)
  if (!found?.isFile()) return "is missing"
  if (found.size !== expected.bytes) return `has ${found.size} bytes, and the manifest says ${expected.bytes}`
  const { sha256 } = await sourceOf(path)
  return sha256 === expected.sha256
    ? null
    : `is damaged: sha256 ${sha256.slice(0, 12)}…, not ${expected.sha256.slice(0, 12)}…`
}

function fileProblem(file: string, fault: string): Check {
  return problem(file, fault, { fix: "copy or export the model again", facts: { file } })
}
