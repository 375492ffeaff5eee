/** mobileclip bake-labels */
import type { Command } from "commander"
import { ofLongWork } from "../../core/progress.ts"
import { commandLine } from "../../core/shell-quote.ts"
import { labelsChoice, modelChoice } from "../../embed/choices.ts"
import { openClassifiers } from "../../embed/open-classifiers.ts"
import { writeAtomically } from "../../host/files/files.ts"
import { requireRoomFor, serializeLabels } from "../../run/labels/label-file.ts"
import type { LoadOptions } from "../../weights/load-model.ts"
import { addLabelOptions, type LabelOptions, labelCacheOption, readWords } from "../classifying.ts"
import { progressOption, threadsOption, verboseOption } from "../options.ts"
import { type ProgressMode, progressReporter } from "../progress.ts"
import { prepareOut } from "../row-output.ts"

interface Options extends LabelOptions, Pick<LoadOptions, "threads"> {
  readonly model: string
  readonly out: string
  readonly progress: ProgressMode
  readonly cache: boolean
  readonly json?: true
  readonly verbose?: true
}

const more = `
Examples:
  mobileclip bake-labels --model models/s0 --labels-file labels.txt --out labels.json
  mobileclip bake-labels --model models/s0 --labels cat,dog --templates prompts.txt --out labels.json
  mobileclip classify photos --model models/s0 --baked labels.json

With such a file pictures are classified by the image tower alone: of the model's folder only onnx/vision_model.onnx and
mobileclip.json need to be there. The file is JSON, which a browser reads too (docs/formats.md), and belongs to this model:
another one refuses it.
`

export function register(program: Command): void {
  const command = program
    .command("bake-labels")
    .description("encode labels into a file, with which `classify` needs no text tower")
    .requiredOption("--model <model>", "whatever `classify` takes")
    .requiredOption("--out <file>", "the file to write")
  addLabelOptions(command)
    .addOption(threadsOption())
    .option("--json", "print { file, model, weights, embedDim, labels, templates }, the last two as numbers")
    .addOption(labelCacheOption())
    .addOption(progressOption())
    .addOption(verboseOption("say what was chosen: the model, threads, labels and templates"))
    .addHelpText("after", more)
    .action(bakeLabels)
}

async function bakeLabels(options: Options, command: Command): Promise<void> {
  const { writeOut, writeErr } = command.configureOutput()
  const say = (line: string) => writeErr?.(`${line}\n`)
  const { model, out, threads, cache, json, verbose } = options
  const words = await readWords(options, command, say)
  await prepareOut(out)
  const onModel = ({ embedDim }: { embedDim: number }) => requireRoomFor(words.labels.length, embedDim)
  const loading = {
    ...{ threads, cache, onChoice: verbose && say, onStage: say, onNote: say, onModel },
    startProgress: ofLongWork(progressReporter(options.progress)),
  }
  await using opened = await openClassifiers([model], words, loading)
  const [{ encoder, labels }] = opened.classifiers as [(typeof opened.classifiers)[number]]
  if (verbose) for (const line of [modelChoice(model, encoder, options), labelsChoice(labels)]) say(line)
  for (const note of opened.notes) say(note)
  await writeAtomically(out, [serializeLabels(labels)])
  const { model: name, weights, embedDim } = labels
  const about = {
    file: out,
    model: name,
    weights,
    embedDim,
    labels: labels.labels.length,
    templates: labels.templates.length,
  }
  writeOut?.(
    json
      ? `${JSON.stringify(about, null, 2)}\n`
      : `${out}: ${counted(about.labels, "label")} in ${counted(about.templates, "template")} by ${name}, ${embedDim} values each\nnext:   ${nextWords(options)}\n`,
  )
}

function counted(count: number, name: string): string {
  return `${count} ${name}${count === 1 ? "" : "s"}`
}

function nextWords({ model, out }: Options): string {
  return commandLine(["mobileclip", "classify", "PICTURES", "--model", model, "--baked", out])
}
