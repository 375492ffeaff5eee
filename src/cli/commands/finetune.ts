/** mobileclip finetune */
import { join } from "node:path"
import type { Command } from "commander"
import * as torch from "../../../torch/index.ts"
import { libtorchInUse } from "../../doctor/computing.ts"
import { finetune } from "../../finetune/finetune.ts"
import { reportJson } from "../../finetune/report.ts"
import { latestStep } from "../../train/checkpoints/folder.ts"
import { type CommandContext, goOnWith } from "../context.ts"
import { addOptions, type FinetuneArguments, finetuneOptionsOf } from "../finetune/options.ts"
import { summary } from "../finetune/summary.ts"
import { progressReporter } from "../progress.ts"
import { shownPull } from "../pulling.ts"

const examples = `
Examples:
  mobileclip finetune pictures --model mobileclip2-s0 --out runs/mine
      pictures/cat/1.jpg, pictures/dog/2.jpg: folders are classes; or x.jpg with a caption in x.txt beside it
  mobileclip finetune pairs.csv --model runs/quickstart/teachers/a --out runs/mine --caption-column text
  mobileclip finetune pictures --model mobileclip2-s0 --out runs/mine --lock text --average 0.5
  mobileclip finetune --resume ...    with the same options: goes on from the last checkpoint

A fifth of the pictures is held out, or those in val/ where class folders lie in it and in train/: they decide when to stop
and which share of the tuned weights to take, and show what the training was worth. OUT/model is the model to use (for
classify), OUT/model.safetensors has its weights, OUT/labels.txt the names of the classes (for classify --labels-file).
OUT/report.html compares before and after.
`

export function register(program: Command, context: CommandContext): void {
  const command = program
    .command("finetune")
    .description("train a model further on your own pictures with captions or class names")
    .argument("<pictures>", "a folder of pictures with captions or of class folders, a CSV or a JSONL file")
  addOptions(command)
    .addHelpText("after", examples)
    .action(async (source: string, args: FinetuneArguments, command: Command) => {
      const { writeOut, writeErr } = command.configureOutput()
      if (args.verbose) writeErr?.(`${libtorchInUse(torch.version(), args)}\n`)
      const report = await finetune({
        ...finetuneOptionsOf(args),
        source,
        pull: shownPull(writeErr),
        startProgress: progressReporter(args.progress),
        say: (line) => writeErr?.(`${line.trimEnd()}\n`),
        signal: context.abortOnInterrupt(undefined, () => howToGoOn(args.out, context.argv)),
      })
      const text = args.json
        ? JSON.stringify(reportJson(report), null, 2)
        : summary(report, join(args.out, "report.html"))
      writeOut?.(`${text}\n`)
    })
}

/** With the same options, and `--resume` where there is a checkpoint. */
async function howToGoOn(out: string, argv: readonly string[]): Promise<string> {
  const step = await latestStep(out)
  if (step === null) return goOnWith(argv, "stopped before there was a checkpoint")
  const more = argv.includes("--resume") ? [] : ["--resume"]
  return goOnWith([...argv, ...more], `saved after step ${step}`)
}
