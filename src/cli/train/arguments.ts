/** The command line of `mobileclip train` as data: which recipe, what is changed in it, and where the run happens. */

import { type Command, Option } from "commander"
import { UserError } from "../../core/errors.ts"
import { usableProcessors } from "../../host/processors.ts"
import { type GpuName, gpuNames } from "../../train/plan/gpus.ts"
import { type Override, parseOverride } from "../../train/recipe/overrides.ts"
import { recipeRunDefaults } from "../../train/run/recipe-run.ts"
import { number, progressOption, threadsOption, wholeNumber } from "../options.ts"
import type { ProgressMode } from "../progress.ts"
import { flagNames, flagOverrides, type JointOptions, jointFlags, jointOverrides, recipeFlags } from "./flags.ts"
import { refusedFlags, refuseFlags } from "./refused-flags.ts"

/** What is not part of a recipe: where and how a run computes, and what it prints. */
export interface Launch {
  /** Folder of the run. */
  readonly out: string | null
  /** Model directory that is written at the end; null: none. */
  readonly exportTo: string | null
  /** "latest", the path of a checkpoint, or null to begin. */
  readonly resume: string | null
  /** Whether a run may go on with other data than it was begun with. */
  readonly otherData: boolean
  /** Licence of the trained model; null: not said. */
  readonly license: string | null
  /** Processes to start on this machine. */
  readonly nproc: number
  /** Processes over all machines, from the environment where a launcher sets them. */
  readonly ranks: number
  readonly device: "cpu" | "cuda" | "mps"
  /** Processor threads of each rank. */
  readonly threads: number
  readonly dryRun: boolean
  /** For a dry run: pairs a second; null: not known. */
  readonly samplesPerSecond: number | null
  /** For a dry run: the GPU that every rank has; null: this machine decides. */
  readonly gpu: GpuName | null
  readonly printConfig: boolean
  readonly logEvery: number
  readonly json: boolean
  readonly progress: ProgressMode
}

export interface TrainArguments {
  /** Name or file; null: the recipe of the run that is resumed, or the defaults. */
  readonly recipe: string | null
  /** Flags first, then `key=value`, in the order given. */
  readonly overrides: readonly Override[]
  readonly launch: Launch
}

interface LaunchOptions extends JointOptions {
  readonly recipe?: string
  readonly out?: string
  readonly export?: string
  readonly resume?: string | true
  readonly allowOtherData?: true
  readonly license?: string
  readonly nproc: number
  readonly device: Launch["device"]
  readonly threads?: number
  readonly dryRun?: true
  readonly samplesPerSecond?: number
  readonly gpu?: GpuName
  readonly gpus?: number
  readonly printConfig?: true
  readonly logEveryNSteps: number
  readonly json?: true
  readonly progress: ProgressMode
}

export type Environment = Readonly<Record<string, string | undefined>>

/** Options and arguments of the command; `--help` shows flags in groups. */
export function addTrainOptions(command: Command): Command {
  command.argument("[key=value...]", "changes to the recipe: schedule.steps=2000 loss.weights=[0,1]")
  command.optionsGroup("Run:")
  command
    .option("--recipe <name|file>", "a recipe of the papers, or a .json file such as a run's config.json")
    .option("--out <dir>", "where checkpoints, log and report are written")
    .option("--export <dir>", "also write the trained model as a model directory")
    .option("--resume [checkpoint]", "go on from the last checkpoint in --out (latest), or from this one")
    .option("--allow-other-data", "with --resume: the data, or the teachers, may differ from those the run began with")
    .option(
      "--license <name>",
      "licence of the trained model, for its files (default: your own, or that of its origin)",
    )
    .option("--nproc <n>", "processes on this machine, one per GPU", wholeNumber(1), 1)
    .addOption(
      new Option("--device <device>", "where to compute")
        .choices(["cpu", "cuda", "mps"])
        .default(recipeRunDefaults.device),
    )
    .addOption(threadsOption("of each process (default: all, shared)"))
    .option(
      "--log-every-n-steps <n>",
      "steps that share a line of metrics.jsonl",
      wholeNumber(1),
      recipeRunDefaults.logEvery,
    )
    .option("--dry-run", "say whether the run fits, what it takes and how to start it, and stop")
    .addOption(
      new Option("--gpu <name>", "for --dry-run: plan for this GPU, in place of this machine").choices(gpuNames),
    )
    .option("--gpus <n>", "for --dry-run: how many of them, over all machines", wholeNumber(1))
    .option(
      "--samples-per-second <n>",
      "for --dry-run: a known rate over all ranks, in place of a short measurement",
      number(1e-6),
    )
    .option("--print-config", "print the resolved recipe, and stop")
    .option("--json", "print results as JSON")
    .addOption(progressOption())
  command.optionsGroup("Short forms of the recipe's keys:")
  for (const { flags, help } of [...recipeFlags, ...jointFlags]) command.option(flags, help)
  for (const flag of Object.keys(refusedFlags)) command.addOption(new Option(`${flag} [value...]`).hideHelp())
  return command
}

/** The arguments of a parsed command. Throws UserError for errors that the options' own parsers do not see. */
export function trainArgumentsOf(command: Command, env: Environment = process.env): TrainArguments {
  const options = command.opts<LaunchOptions & Record<string, unknown>>()
  refuseFlags(options)
  const { values, changes } = returnChanges(options)
  const launch = launchOf(values as unknown as LaunchOptions, env)
  const overrides = [
    ...flagOverrides(values),
    ...jointOverrides(values as JointOptions, launch.ranks),
    ...[...changes, ...command.args].map(parseOverride),
  ]
  return { recipe: options.recipe ?? null, overrides, launch }
}

/** `--resume` and options with lists take the words that follow them, also `key=value`: these are given back to the recipe's changes. */
function returnChanges(options: Readonly<Record<string, unknown>>) {
  const greedy = recipeFlags.filter(({ flags }) => flags.includes("...")).map(({ flags }) => flagNames(flags).option)
  const values: Record<string, unknown> = { ...options }
  const changes: string[] = []
  for (const option of greedy) {
    const given = options[option]
    if (!Array.isArray(given)) continue
    values[option] = given.filter((word) => !isChange(word))
    changes.push(...given.filter(isChange))
  }
  if (typeof options.resume === "string" && isChange(options.resume)) {
    changes.push(options.resume)
    values.resume = true
  }
  return { values, changes }
}

function isChange(word: string): boolean {
  return /^[a-z][\w.]*=/i.test(word)
}

function launchOf(options: LaunchOptions, env: Environment): Launch {
  const { out = null, resume, nproc, device, progress, logEveryNSteps } = options
  const stops = options.dryRun === true || options.printConfig === true
  if (out === null && !stops)
    throw new UserError("--out is missing: a run needs a folder", "for example --out runs/mine")
  if (options.dryRun !== true && (options.gpu !== undefined || options.gpus !== undefined))
    throw new UserError("--gpu and --gpus are for a plan", "give --dry-run too; a run takes --device cuda and --nproc")
  if (options.gpus !== undefined && options.gpu === undefined && !device.startsWith("cuda"))
    throw new UserError(
      "--gpus does not say which GPUs",
      "give --gpu h100 or the like, or --device cuda for this machine's",
    )
  return {
    out,
    exportTo: options.export ?? null,
    resume: resume === undefined ? null : resume === true ? "latest" : resume,
    otherData: options.allowOtherData === true,
    license: options.license ?? null,
    nproc,
    ranks: options.gpus ?? ranksOf(nproc, env),
    device,
    threads: options.threads ?? Math.max(1, Math.floor(usableProcessors().count / nproc)),
    dryRun: options.dryRun === true,
    samplesPerSecond: options.samplesPerSecond ?? null,
    gpu: options.gpu ?? null,
    printConfig: options.printConfig === true,
    logEvery: logEveryNSteps,
    json: options.json === true,
    progress,
  }
}

/** From torchrun's variable, then from SLURM's, which counts within a step (`srun`) only: a job's script has it too, and runs alone. */
function ranksOf(nproc: number, { WORLD_SIZE, SLURM_NTASKS, SLURM_PROCID, SLURM_STEP_NODELIST }: Environment): number {
  const found = WORLD_SIZE || (SLURM_PROCID && SLURM_STEP_NODELIST ? SLURM_NTASKS : undefined)
  const ranks = found === undefined ? nproc : Number(found)
  const name = WORLD_SIZE ? "WORLD_SIZE" : "SLURM_NTASKS"
  if (!Number.isInteger(ranks) || ranks <= 0) throw new UserError(`${name} is "${found}", not a number of processes`)
  if (nproc > 1 && found !== undefined && ranks > 1) {
    throw new UserError(
      `${name} is ${ranks}: this is one of ${ranks} processes already, and --nproc ${nproc} would start more`,
      "leave out --nproc, or start without torchrun and srun",
    )
  }
  return ranks === 1 ? nproc : ranks
}
