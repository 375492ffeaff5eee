/** The command `reinforce embed --dry-run` over a folder of shards, from its start to its end. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { join } from "node:path"
import { text } from "node:stream/consumers"
import { atExit } from "../compiled.ts"
import type { Figures, Prepare } from "../row.ts"

export const prepare: Prepare = async (build, { input }) => {
  const command = ["reinforce", "embed", "--dry-run", "--output", join(input, "out"), "--model-name", "Xenova/clip"]
  return async () => {
    const from = performance.now()
    const figures = await figuresOf([build.command, ...command, "--input", join(input, "shards")])
    return { ...figures, seconds: (performance.now() - from) / 1000 }
  }
}

/** What the process says of itself at its end. Throws with its message where it fails. */
async function figuresOf(command: readonly string[]): Promise<Partial<Figures>> {
  const child = spawn(process.execPath, ["--import", atExit, ...command], {
    stdio: ["ignore", "ignore", "pipe", "pipe"],
  })
  const [said, wrote] = [text(child.stderr!), text(child.stdio[3] as NodeJS.ReadableStream)]
  const [code] = await once(child, "close")
  if (code !== 0) throw new Error(await said)
  return JSON.parse(await wrote)
}
