/** mobileclip train */
import { availableParallelism } from "node:os"
import { type Command, Option } from "commander"
import { defaultTrainConfig } from "../../train/train.ts"
import type { CommandContext } from "../main.ts"
import { number, progressOption, wholeNumber } from "../options.ts"
import { type TrainOptions, trainFromOptions } from "../train-options.ts"

/** AdamW divides by 1 - beta and by eps. */
const largestBeta = 0.999999
const smallest = 1e-30

const examples = `
Examples:
  mobileclip train --train-data runs/quickstart/scenes/train --out runs/mine --steps 2000
  mobileclip train --train-data 'data/{00000..00127}.tar' --model mobileclip2-s0 --device cuda --precision amp_bf16 \\
    --batch-size 256 --epochs 10 --out runs/s0
  mobileclip train --resume ...    the same options again: goes on from the last checkpoint
`

export function register(program: Command, context: CommandContext): void {
  program
    .command("train")
    .description("train a model on WebDataset shards of pictures and captions")
    .requiredOption("--train-data <shards>", "shards: a folder, a pattern with {00000..00012}, several joined by ::")
    .requiredOption("--out <dir>", "where checkpoints and the log are written")
    .option("--model <name>", "variant to train, from its initialisation", "quickstart")
    .addOption(new Option("--steps <n>", "batches to train on").argParser(wholeNumber(1)).conflicts("epochs"))
    .addOption(new Option("--epochs <n>", "passes over the data (default: 32)").argParser(wholeNumber(1)))
    .option("--batch-size <n>", "pictures in a batch", wholeNumber(2), 64)
    .option("--lr <rate>", "largest learning rate", number(0), defaultTrainConfig.learningRate)
    .option("--warmup <steps>", "steps to reach it", wholeNumber(0), 100)
    .option("--wd <decay>", "weight decay", number(0), defaultTrainConfig.weightDecay)
    .option("--beta1 <x>", "AdamW", number(0, largestBeta), defaultTrainConfig.beta1)
    .option("--beta2 <x>", "AdamW", number(0, largestBeta), defaultTrainConfig.beta2)
    .option("--eps <x>", "AdamW", number(smallest), defaultTrainConfig.eps)
    .option(
      "--grad-clip-norm <x>",
      "largest joint norm of the gradients",
      number(smallest),
      defaultTrainConfig.gradClipNorm,
    )
    .addOption(new Option("--precision <type>", "of matrix products").choices(["fp32", "amp_bf16"]).default("fp32"))
    .addOption(
      new Option("--caption <which>", "txt, the caption in json, or either")
        .choices(["web", "precise", "both"])
        .default("web"),
    )
    .option("--seed <n>", "of initialisation and batches", wholeNumber(0, 2 ** 32 - 1), defaultTrainConfig.seed)
    .option("--save-every <steps>", "between two checkpoints", wholeNumber(1), defaultTrainConfig.saveEvery)
    .option("--resume", "go on from the last checkpoint in --out")
    .addOption(
      new Option("--device <device>", "where to compute")
        .choices(["cpu", "cuda", "mps"])
        .default(defaultTrainConfig.device),
    )
    .option("--threads <n>", "processor threads", wholeNumber(1), availableParallelism())
    .option("--json", "print the result as JSON")
    .addOption(progressOption())
    .addHelpText("after", examples)
    .action(async (options: TrainOptions, command: Command) => {
      const result = await trainFromOptions(options, context.abortOnInterrupt())
      command.configureOutput().writeOut?.(`${options.json ? JSON.stringify(result, null, 2) : result.checkpoint}\n`)
    })
}
