/** mobileclip finetune */
import { join } from "node:path"
import type { Command } from "commander"
import { finetune } from "../../finetune/finetune.ts"
import { reportJson } from "../../finetune/report.ts"
import type { CommandContext } from "../context.ts"
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
  mobileclip finetune --resume ...    the same options again: goes on from the last checkpoint

A fifth of the pictures is held out: they say when to stop, how much of the tuned weights to take, and what it was worth.
The model to use is in OUT/model (for classify), as weights in OUT/model.safetensors, names of classes in OUT/labels.txt
(for classify --labels-file); OUT/report.html shows before and after.
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
      const report = await finetune({
        ...finetuneOptionsOf(args),
        source,
        pull: shownPull(writeErr),
        startProgress: progressReporter(args.progress),
        say: (line) => writeErr?.(`${line.trimEnd()}\n`),
        signal: context.abortOnInterrupt(),
      })
      const text = args.json
        ? JSON.stringify(reportJson(report), null, 2)
        : summary(report, join(args.out, "report.html"))
      writeOut?.(`${text}\n`)
    })
}
