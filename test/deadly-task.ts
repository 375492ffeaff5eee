/** Tasks that end the process which works on them, each time: what a fault in a decoder or a runtime would do. */
import type { LastingProcess } from "../src/serve/processes/lasting.ts"

/**
 * What `work` gives while tasks for which `isDeadly` holds end their process before it reads them.
 *
 * @param lasting its own method is replaced meanwhile
 */
export async function endsProcesses<Settings, Description, Task, Answer, Result>(
  lasting: LastingProcess<Settings, Description, Task, Answer>,
  work: () => Promise<Result>,
  isDeadly: (task: Task) => boolean,
): Promise<Result> {
  const own = Reflect.get(lasting, "try") as (task: Task, signal?: AbortSignal) => Promise<Answer>
  Reflect.set(lasting, "try", async (task: Task, signal?: AbortSignal) => {
    if (!isDeadly(task)) return own.call(lasting, task, signal)
    await lasting.description()
    const pid = lasting.pid!
    process.kill(pid, "SIGSTOP")
    const answer = own.call(lasting, task, signal)
    process.kill(pid, "SIGKILL")
    return answer
  })
  try {
    return await work()
  } finally {
    Reflect.deleteProperty(lasting, "try")
  }
}
