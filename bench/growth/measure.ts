/** Has one size measured by a process of its own, which is ended where it takes too long. */
import { type ChildProcess, fork } from "node:child_process"
import { once } from "node:events"
import { measureProcess } from "./compiled.ts"
import type { Outcome, Task } from "./row.ts"

/** Letters of what a process that failed wrote last. */
const tail = 300

/** @param cache a folder for what builds keep between runs */
export async function measure(task: Task, cache: string, limitSeconds: number): Promise<Outcome> {
  const child = fork(measureProcess, {
    execArgv: ["--expose-gc"],
    stdio: ["ignore", "ignore", "pipe", "ipc"],
    env: { ...process.env, XDG_CACHE_HOME: cache, OMP_NUM_THREADS: "1" },
  })
  let said = ""
  child.stderr!.on("data", (data) => {
    said = `${said}${data}`.slice(-tail)
  })
  let isOver = false
  const timer = setTimeout(() => {
    isOver = true
    child.kill("SIGKILL")
  }, limitSeconds * 1000)
  try {
    child.send(task)
    const outcome = await answerOf(child, () => said)
    return isOver ? { kind: "over", seconds: limitSeconds } : outcome
  } finally {
    clearTimeout(timer)
    if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL")
  }
}

/** What the process says, or why it ended without. */
async function answerOf(child: ChildProcess, said: () => string): Promise<Outcome> {
  let answer: Outcome | null = null
  child.on("message", (message) => {
    answer = message as Outcome
  })
  const [code, signal] = await once(child, "close")
  return answer ?? { kind: "failed", message: `ended (${signal ?? `exit code ${code}`}) ${said()}`.trim() }
}
