/** How `mobileclip train` ends: what came out and what to do with it, and how an interrupted run goes on. */

import { integer } from "../../report/numbers.ts"
import { latestStep } from "../../train/checkpoints/folder.ts"
import { curvesCommand, longerCommand, useStep } from "../../train/run/next-steps.ts"
import type { RecipeRunSummary } from "../../train/run/recipe-run.ts"
import { goOnWith } from "../context.ts"
import { splitWords } from "../options.ts"
import { spacedPercent, textTable } from "../table.ts"
import type { Environment, Launch } from "./arguments.ts"

/** What is printed at the end of a run: lines without a break at the end. */
export function endingText(
  summary: RecipeRunSummary,
  { out, isCaptioner }: { readonly out: string; readonly isCaptioner: boolean },
): string {
  const { steps, resumedAt, checkpoint, report, exported, mixSynthetic } = summary
  const isMade = resumedAt < steps
  return [
    isMade ? madeText(summary) : `the run in ${out} was finished before: it has all of its ${integer(steps)} steps`,
    "",
    accuracyText(summary),
    "",
    ...(mixSynthetic === 1 ? ["captions: synthetic ones alone"] : []),
    `weights: ${checkpoint}`,
    `report:  ${report}`,
    `curves:  ${curvesCommand(out)}`,
    ...(isMade ? [] : [`longer:  ${longerCommand({ directory: out, steps })}`]),
    `next:    ${useStep({ directory: out, isCaptioner, exported }).command}`,
  ].join("\n")
}

function madeText({ steps, resumedAt, samplesSeen, finalLoss, samplesPerSecond }: RecipeRunSummary): string {
  const from = resumedAt > 0 ? `, from step ${integer(resumedAt)} on` : ""
  const rate = samplesPerSecond < 10 ? samplesPerSecond.toFixed(1) : integer(samplesPerSecond)
  return `${integer(steps)} steps${from}: ${integer(samplesSeen)} pairs seen, ${rate} a second; loss ${finalLoss.toFixed(3)}`
}

function accuracyText({ zeroShot, chance = {} }: RecipeRunSummary): string {
  if (!zeroShot)
    return "accuracy was not measured: --evaluate TASKS does, along the way; a folder of class folders is such a task"
  const scores = Object.entries(zeroShot)
  const rows = scores.map(([name, score]) => [
    name,
    spacedPercent(score),
    name in chance ? spacedPercent(chance[name]!) : "",
  ])
  const mean = scores.reduce((sum, [, score]) => sum + score, 0) / scores.length
  const columns = [
    { title: "zero-shot" },
    ...["accuracy", "chance"].map((title) => ({ title, align: "right" as const })),
  ]
  return textTable(columns, scores.length > 1 ? [...rows, ["mean", spacedPercent(mean), ""]] : rows)
}

/**
 * How a run that was interrupted goes on: a command to paste, or what to do where the processes were started by another
 * program. Null in a process that a launcher started, because the launcher says it.
 *
 * @param argv the words of `train`; given options of the machine are repeated, the recipe is in the folder
 */
export async function howToGoOn(
  launch: Pick<Launch, "out" | "nproc">,
  argv: readonly string[],
  env: Environment = process.env,
): Promise<string | null> {
  const { out } = launch
  if (out === null || env.MOBILECLIP_LAUNCHER || Number(env.RANK ?? env.SLURM_PROCID ?? 0) > 0) return null
  const step = await latestStep(out)
  const isRank = env.WORLD_SIZE !== undefined || env.SLURM_STEP_NODELIST !== undefined
  const place = isRank ? ", in all processes again" : ""
  if (step === null) return goOnWith(["train", ...argv], `stopped before there was a checkpoint${place}`)
  return goOnWith(
    ["train", "--out", out, "--resume", ...machineWords(argv)],
    `saved after step ${integer(step)}${place}`,
  )
}

/** Options that say where and how a run computes, which is not in its folder. */
const machineOptions = ["--device", "--nproc", "--threads", "--export", "--log-every-n-steps", "--progress"] as const

/** The given ones of them, with their values. */
function machineWords(argv: readonly string[]): string[] {
  const { named, others } = splitWords(argv, machineOptions)
  return [...named, ...others.filter((word) => word === "--json")]
}
