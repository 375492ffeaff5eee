/** `mobileclip train`: a run from the command line's arguments, in this process or in several. */

import { fileURLToPath } from "node:url"
import * as torch from "../../../torch/index.ts"
import { openLiveTasks } from "../../benchmark/run/live-tasks.ts"
import { UserError } from "../../core/errors.ts"
import { threadsOfRank } from "../../train/distributed/environment.ts"
import { launch } from "../../train/distributed/launch.ts"
import { type NamedRecipe, recipeJson, recipeNamed, recipeOfRun } from "../../train/recipe/load.ts"
import { applyOverrides, type Override } from "../../train/recipe/overrides.ts"
import { isCaptioning, resolvedRecipe } from "../../train/recipe/resolved.ts"
import { defaultRecipe, modelOfStart, type Recipe } from "../../train/recipe/schema.ts"
import { checkExport, plannedRun, trainRecipe } from "../../train/run/recipe-run.ts"
import { existingCheckpoint } from "../../train/run/resume.ts"
import type { CommandContext } from "../context.ts"
import { splitWords } from "../options.ts"
import { progressReporter } from "../progress.ts"
import { shownPull } from "../pulling.ts"
import type { Launch, TrainArguments } from "./arguments.ts"
import { dryRun } from "./dry-run.ts"
import { endingText, howToGoOn } from "./ending.ts"

interface TrainOutput {
  writeOut(text: string): void
  writeErr(text: string): void
}

/**
 * @param argv the command's own words, for the processes that `--nproc` starts
 * @returns the exit code
 */
export async function trainCommand(
  args: TrainArguments,
  argv: readonly string[],
  abortOnInterrupt: CommandContext["abortOnInterrupt"],
  output: TrainOutput,
): Promise<number> {
  const { launch } = args
  const signal = () => abortOnInterrupt(undefined, () => howToGoOn(launch, argv))
  const recipe = await resolveRecipe(args)
  if (launch.printConfig) output.writeOut(recipeJson(recipe))
  else if (launch.dryRun) await printPlan(recipe, launch, argv, { ...output, signal: signal() })
  else if (launch.nproc > 1) return launchRanks(launch, argv, output)
  else await trainHere(recipe, withOwnThreads(launch, argv), signal, output)
  return 0
}

/** A resumed run goes on with its own recipe where none is named. Throws UserError where the recipe names no data, or there is no run to resume. */
export async function resolveRecipe(args: TrainArguments): Promise<Recipe> {
  const { name, recipe } = await baseRecipe(args)
  const overrides = recipe === defaultRecipe ? withModelOfStart(args.overrides) : args.overrides
  const resolved = resolvedRecipe(applyOverrides(recipe, overrides, name))
  if (resolved.data.train !== null || args.launch.dryRun || args.launch.printConfig) return resolved
  throw new UserError(`${name}: data.train is missing`, "name the data: --train-data 'data/{00000..00127}.tar'")
}

/** Weights to begin with say which model they are, where nothing else does. */
function withModelOfStart(overrides: readonly Override[]): readonly Override[] {
  const start = overrides.findLast(({ key }) => key === "start")
  if (!start || start.value === null || overrides.some(({ key }) => key === "model")) return overrides
  return [...overrides, { key: "model", value: modelOfStart, source: start.source }]
}

async function baseRecipe({ recipe, launch }: TrainArguments): Promise<NamedRecipe> {
  if (recipe === null && launch.resume !== null && launch.out !== null) {
    const own = await recipeOfRun(launch.out)
    if (own) return own
    if (launch.resume === "latest") await existingCheckpoint({ directory: launch.out, existing: "require" })
  }
  return recipeNamed(recipe ?? undefined)
}

async function trainHere(
  recipe: Recipe,
  { out, json, progress, ...options }: Launch,
  signal: () => AbortSignal,
  { writeOut, writeErr }: TrainOutput,
): Promise<void> {
  const summary = await trainRecipe(recipe, {
    ...options,
    out: out!,
    startProgress: progressReporter(progress),
    pull: shownPull(writeErr),
    onNote: (line) => writeErr(`${line}\n`),
    openTasks: openLiveTasks,
    signal,
  })
  if (summary)
    writeOut(
      `${json ? JSON.stringify(summary, null, 2) : endingText(summary, { out: out!, isCaptioner: isCaptioning(recipe) })}\n`,
    )
}

/** `--threads` is for each process; without it the ranks of a machine share its threads. */
export function withOwnThreads(options: Launch, argv: readonly string[]): Launch {
  if (argv.some((word) => word === "--threads" || word.startsWith("--threads="))) return options
  return { ...options, threads: threadsOfRank(process.env, options.threads) }
}

async function printPlan(
  recipe: Recipe,
  options: Launch,
  argv: readonly string[],
  { writeOut, writeErr, signal }: TrainOutput & { readonly signal: AbortSignal },
): Promise<void> {
  const onNote = (line: string) => writeErr(`${line}\n`)
  const { recipe: planned, ...known } = await plannedRun(recipe, {
    ...options,
    ...{ pull: shownPull(writeErr), onNote, signal },
  })
  const { plan, text } = await dryRun(planned, options, known, argv)
  writeOut(options.json ? `${JSON.stringify(plan, null, 2)}\n` : `${text()}\n`)
}

/** Runs the same command once per process, which finds its rank in the environment. */
async function launchRanks(options: Launch, argv: readonly string[], { writeErr }: TrainOutput): Promise<number> {
  await checkExport({ ...options, out: options.out! })
  checkCount(options, torch.devices())
  const own = withoutProcesses(argv)
  const code = await launch({
    program: fileURLToPath(new URL("../../../../bin/mobileclip.js", import.meta.url)),
    args: ["train", ...own, ...(own.includes("--threads") ? [] : ["--threads", String(options.threads)])],
    processes: options.nproc,
    threads: options.threads * options.nproc,
    log: (line) => writeErr(`${line}\n`),
  })
  const text = code === 0 ? null : await howToGoOn(options, argv)
  if (text !== null) writeErr(`mobileclip: ${text}\n`)
  return code
}

/** The words without `--nproc`, which may be given several times. */
export function withoutProcesses(argv: readonly string[]): string[] {
  return splitWords(argv, ["--nproc"]).others
}

/** Each rank needs a CUDA device of its own: a rank without one would fail while the others wait for it. */
export function checkCount(
  { nproc, device }: Pick<Launch, "nproc" | "device">,
  present: readonly torch.Device[],
): void {
  const count = present.filter((name) => name.startsWith("cuda")).length
  if (device !== "cuda" || nproc <= count) return
  throw new UserError(
    `--nproc ${nproc} takes ${nproc} CUDA devices, and this libtorch has ${count}`,
    count > 0 ? `choose --nproc ${count} or fewer` : `it has ${present.join(", ")}`,
  )
}
