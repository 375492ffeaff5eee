/** mobileclip render */
import type { Command } from "commander"
import { renderScenes, scenesDefaults } from "../../data/scenes/dataset.ts"
import type { CommandContext } from "../context.ts"
import { progressOption, wholeNumber } from "../options.ts"
import { type ProgressMode, progressReporter } from "../progress.ts"

interface Options {
  readonly out: string
  readonly seed: number
  readonly train: number
  readonly test: number
  readonly retrieval: number
  readonly samplesPerShard: number
  readonly progress: ProgressMode
  readonly json?: true
}

const examples = `
Examples:
  mobileclip render --out data/scenes
  mobileclip render --out data/large --train 200000 --seed 1

The same command again keeps shards that are complete.
`

export function register(program: Command, context: CommandContext): void {
  const { counts } = scenesDefaults
  program
    .command("render")
    .description("render the scenes dataset: pictures with captions, as WebDataset shards")
    .requiredOption("--out <dir>", "where train/, test/, retrieval/ and info.json are written")
    .option("--seed <n>", "seed of the pictures and captions", wholeNumber(0, 2 ** 32 - 1), scenesDefaults.seed)
    .option("--train <n>", "pictures to train on", wholeNumber(1), counts.train)
    .option("--test <n>", "pictures for the zero-shot tasks", wholeNumber(1), counts.test)
    .option("--retrieval <n>", "pictures for retrieval", wholeNumber(1), counts.retrieval)
    .option("--samples-per-shard <n>", "pictures in a .tar", wholeNumber(1, 10_000), scenesDefaults.samplesPerShard)
    .option("--json", "print info.json")
    .addOption(progressOption())
    .addHelpText("after", examples)
    .action(async ({ train, test, retrieval, ...options }: Options, command: Command) => {
      const progress = progressReporter(options.progress)("render", train + test + retrieval, { unit: "pictures" })
      const info = await renderScenes({
        ...options,
        counts: { train, test, retrieval },
        onProgress: (done) => progress.update(done),
        signal: context.abortOnInterrupt(),
      })
      progress.done()
      command.configureOutput().writeOut?.(`${options.json ? JSON.stringify(info, null, 2) : options.out}\n`)
    })
}
