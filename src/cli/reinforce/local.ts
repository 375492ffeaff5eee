/** What `reinforce caption` and `reinforce embed` do with their options. */
import { modelsRunOn } from "../../doctor/computing.ts"
import type { Job } from "../../reinforce/job/job.ts"
import { reinforceLocally } from "../../reinforce/local/local.ts"
import { shareOut } from "../../reinforce/local/resources.ts"
import { progressReporter } from "../progress.ts"
import { shownPull } from "../pulling.ts"
import { jobOf, planOf, type ResourceOptions, resourcesOf, type ShardOptions, unusedOptions } from "./shard-options.ts"
import { finish, type Output, planText, sharedText } from "./summary.ts"

export async function runHere(
  stage: Job["stage"],
  options: ShardOptions & ResourceOptions,
  signal: AbortSignal,
  output: Output,
): Promise<void> {
  const onNote = (line: string) => output.writeErr(`${line}\n`)
  unusedOptions(options).forEach(onNote)
  const [job, tasks, resources] = [jobOf(stage, options), await planOf(options), resourcesOf(options)]
  const shared = shareOut(resources, tasks.length)
  if (options.verbose)
    [modelsRunOn({ ...resources, ...(options.dtype && { dtype: options.dtype }) }), sharedText(shared)].forEach(onNote)
  if (options.dryRun) return output.writeOut(planText(job, tasks, shared, options.json))
  const outcome = await reinforceLocally(job, options.output, tasks, {
    ...resources,
    ...{ maxFailures: options.maxFailures, chooseType: options.dtype === "auto" },
    startProgress: progressReporter(options.progress),
    pull: shownPull(output.writeErr),
    onNote,
    signal,
  })
  finish(stage, outcome, options, output)
}
