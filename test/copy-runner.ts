/** A runner for tests whose work is done in a child process for each shard; see copy-shard.ts. */
import { type ChildProcess, fork } from "node:child_process"
import { createHash } from "node:crypto"
import { once } from "node:events"
import { existsSync } from "node:fs"
import { readFile, stat } from "node:fs/promises"
import { fileURLToPath } from "node:url"
import { UserError } from "../src/core/errors.ts"
import type { ModelRunner, RunOptions, ShardResult, ShardTask } from "../src/reinforce/runner.ts"

export class CopyRunner implements ModelRunner {
  readonly identity = "copy"
  private readonly children = new Set<ChildProcess>()

  constructor(readonly slots = 1) {}

  async run(task: ShardTask, { signal, onProgress }: RunOptions = {}): Promise<ShardResult> {
    const started = performance.now()
    if (!existsSync(task.input)) throw new UserError(`${task.input}: there is no such file`)
    const child = fork(compiled("copy-shard"), [task.input, task.output], { stdio: "inherit", execArgv: [] })
    this.children.add(child)
    const kill = () => child.kill("SIGKILL")
    signal?.addEventListener("abort", kill)
    let samples = 0
    child.on("message", (done) => {
      samples = Number(done)
      onProgress?.(samples)
    })
    const [code, killedBy] = await once(child, "exit")
    signal?.removeEventListener("abort", kill)
    this.children.delete(child)
    if (code !== 0) throw new Error(`the process of the shard ended with ${code ?? killedBy}`)
    const sha256 = createHash("sha256")
      .update(await readFile(task.output))
      .digest("hex")
    const seconds = (performance.now() - started) / 1000
    return { ...task, samples, problems: [], bytes: (await stat(task.output)).size, sha256, models: "copy", seconds }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.children) child.kill("SIGKILL")
  }
}

/** A file of this folder as Node can run it. */
export function compiled(name: string): string {
  const path = fileURLToPath(
    new URL(import.meta.url.endsWith(".ts") ? `../dist/test/${name}.js` : `${name}.js`, import.meta.url),
  )
  if (existsSync(path)) return path
  throw new Error(`${path} is not built: run "npx tsc -b" first`)
}
