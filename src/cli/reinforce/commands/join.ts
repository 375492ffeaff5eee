/** mobileclip reinforce join */
import type { Command } from "commander"
import { joinDefaults } from "../../../reinforce/tools/tool-options.ts"
import type { CommandContext } from "../../context.ts"
import { maxFailuresOption, progressOption, wholeNumber } from "../../options.ts"
import { outputOf } from "../summary.ts"
import { addFormatOptions } from "../tools/format-option.ts"
import type { JoinCommandOptions } from "../tools/join.ts"

const examples = `
Examples:
  mobileclip reinforce join --images 'images/{00000..01023}.tar' --key uid \\
    --reinforcements 'DataCompDR-12M/{00000000..00001023}.tar' --output data/joined
  mobileclip reinforce join --images images --reinforcements data/reinforced --by-name --output data/joined

A reinforcement is found by its key, in whatever shard it is; the index takes 24 bytes a key. The output follows the
shards of images. join.json beside it is the report, failures.jsonl says what was left out and why. The same command
goes on where it was stopped. Exit code 3: done, and something other than a missing or second sample was left out.
`

export function register(parent: Command, context: CommandContext): void {
  const command = parent.command("join").description("put images and their reinforcements together, by key")
  addFormatOptions(command)
    .requiredOption("--images <shards...>", "shards with pictures and captions, such as img2dataset writes")
    .requiredOption("--reinforcements <shards...>", "shards as the published datasets: without pictures")
    .requiredOption("--output <folder>", "where joined shards go")
    .option("--key <field>", "field of the images' json that is the reinforcements' key (default: the member's name)")
    .option("--by-name", "shards of one name hold the same samples: no index of all keys")
    .option("--allow-changed", "keep pictures whose sha256 is not the one that was reinforced")
    .option("--require-all", "fail unless all images and all reinforcements were matched")
    .addOption(maxFailuresOption("stop when more images than this had to be left out"))
    .option(
      "--max-index-mb <n>",
      "memory of the index; the rest goes to a temporary file",
      wholeNumber(1),
      joinDefaults.maxIndexBytes / 2 ** 20,
    )
    .option("--json", "print join.json")
    .addOption(progressOption())
    .addHelpText("after", examples)
    .action(async (options: JoinCommandOptions) => {
      const { runJoin } = await import("../tools/join.ts")
      await runJoin(options, context.abortOnInterrupt(), outputOf(command))
    })
}
