/** What guessing gives in the tasks of a curve, which begins there. */
import { UserError } from "../../core/errors.ts"
import { chanceOf, TASKS } from "../../data/scenes/tasks.ts"
import { openTasks } from "../../evaluate/task-list.ts"
import { type CurveRun, reportOf, taskListOf } from "./curve-run.ts"

/** Classes of well-known tasks, for runs that do not say where theirs are from. */
const known: Readonly<Record<string, number>> = {
  ...Object.fromEntries(TASKS.map((task) => [task.name, chanceOf(task)])),
  cifar10: 1 / 10,
}

/**
 * The average over the tasks: what the experiment's report says, else the runs' task list, else by the tasks' names.
 *
 * @param tasks those that are averaged
 * @throws UserError where nothing says it
 */
export async function guessingOf(runs: readonly CurveRun[], tasks: readonly string[]): Promise<number> {
  const reported = (await reportOf(runs[0]!.folder)).guessing
  const all = Object.keys(runs[0]!.curve.at(-1)!.tasks)
  if (reported !== null && all.length === tasks.length) return reported
  const chance = { ...known, ...(await chanceOfList(runs)) }
  const unknown = tasks.filter((name) => chance[name] === undefined)
  if (unknown.length > 0)
    throw new UserError(
      `it is not known what guessing gives in ${unknown.join(", ")}: the runs' task list is not there`,
      "say it: --guessing 0.1 for ten classes; for several tasks the mean",
    )
  return tasks.reduce((sum, name) => sum + chance[name]!, 0) / tasks.length
}

async function chanceOfList(runs: readonly CurveRun[]): Promise<Readonly<Record<string, number>>> {
  for (const { folder } of runs) {
    const list = await taskListOf(folder)
    if (list !== null) return (await openTasks(list)).chance
  }
  return {}
}
