/** Commands that are killed in the middle of their work. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { readdirSync } from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"

/** Runs `mobileclip` with `argv` and kills it as soon as a path below `folder` matches. Throws where it ended before. */
export async function killCommand(argv: readonly string[], folder: string, pattern: RegExp): Promise<void> {
  const child = spawn(process.execPath, ["bin/mobileclip.js", ...argv], { stdio: "ignore" })
  const exited = once(child, "exit")
  const isThere = () => readdirSync(folder, { recursive: true }).some((path) => pattern.test(String(path)))
  while (child.exitCode === null && !isThere()) await sleep(1)
  child.kill("SIGKILL")
  const [, signal] = await exited
  if (signal !== "SIGKILL") throw new Error(`mobileclip ${argv.join(" ")} ended before ${pattern} was there`)
}
