/** mobileclip reinforce verify */
import type { Command } from "commander"
import { verifyDefaults } from "../../../reinforce/tools/tool-options.ts"
import type { CommandContext } from "../../context.ts"
import { number, progressOption, wholeNumber } from "../../options.ts"
import { addModelResources, readersOption } from "../shard-options.ts"
import { outputOf } from "../summary.ts"
import { widths } from "../tools/options.ts"
import type { VerifyCommandOptions } from "../tools/verify.ts"

const examples = `
Examples:
  mobileclip reinforce verify data/reinforced                      with the models that its config.json names
  mobileclip reinforce verify data/reinforced --samples 0          files and samples only, without models
  mobileclip reinforce verify data/reinforced --against data/again another run of the same command: identical?
  mobileclip reinforce verify joined --model-name a,b              embeddings of shards that say nothing of their models

Every file is compared with its recorded hash and every sample is checked; some are reinforced again and compared.
Exit code 1 where anything is wrong.
`

/** What is checked, and how; also where workers of a server look at the shards. */
export function addVerifyOptions(command: Command): Command {
  return command
    .option("--samples <n>", "samples that are made again", wholeNumber(0), verifyDefaults.samples)
    .option("--seed <n>", "of their choice", wholeNumber(0), verifyDefaults.seed)
    .option(
      "--threshold <cosine>",
      "least cosine of an embedding with the one made again",
      number(-1, 1),
      verifyDefaults.threshold,
    )
    .option("--teacher-widths <list>", "such as 768,768 (default: found in the vectors)", widths)
    .option("--model-name <names>", "teachers, where the folder has no config.json")
    .option("--pretrained <tags>", "of those that are open_clip's architectures; N/A where there is none")
    .option("--aug-config <json>", "augmentation they were given, as JSON or a file of it (default: the papers')")
    .option("--tag-suffix <suffix>", "after the keys of the embeddings, with --model-name", "")
    .option("--json", "print the whole report")
    .addOption(progressOption())
}

export function register(parent: Command, context: CommandContext): void {
  const command = parent
    .command("verify")
    .description("check reinforced shards, and make a random choice of samples again")
    .argument("<shards...>", "the output folder of a job, or any shards")
  addModelResources(addVerifyOptions(command))
    .addOption(readersOption())
    .option("--against <folder>", "compare with the output of another run, shard by shard")
    .addHelpText("after", examples)
    .action(async (shards: readonly string[], options: VerifyCommandOptions) => {
      const { runVerify } = await import("../tools/verify.ts")
      await runVerify(shards, options, context.abortOnInterrupt(), outputOf(command))
    })
}
