/** Two ranks of one machine at the same time, each in its own process, as `training.ts` measures one: the figures of the larger. */
import { Measurer } from "../measurer.ts"
import type { Figures, Prepare, Size, Task } from "../row.ts"

const ranks = 2

export const prepare: Prepare = async (_build, task) => async () => {
  const measured = await Promise.all(Array.from({ length: ranks }, (_, rank) => measuredAlone(task, rank)))
  const most = (name: keyof Figures) => Math.max(...measured.map((figures) => figures[name]))
  return {
    ...{ seconds: most("seconds"), processorSeconds: most("processorSeconds") },
    ...{ bytes: most("bytes"), stallSeconds: most("stallSeconds") },
  }
}

async function measuredAlone(task: Task, rank: number): Promise<Figures> {
  const ofRank = ({ units, given }: Size): Size => ({ units, given: { ...given, rank, ranks } })
  await using rankProcess = new Measurer(cacheFolder())
  const { size, warmUp } = task
  const outcome = await rankProcess.measure({
    ...task,
    measure: "training",
    size: ofRank(size),
    warmUp: ofRank(warmUp),
  })
  if (outcome.kind === "measured") return outcome
  throw new Error(outcome.kind === "failed" ? outcome.message : outcome.kind)
}

function cacheFolder(): string {
  return process.env.XDG_CACHE_HOME!
}
