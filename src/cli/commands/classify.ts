/** mobileclip classify */

import { existsSync } from "node:fs"
import type { Command } from "commander"
import { UserError } from "../../core/errors.ts"
import { imageFiles } from "../../host/image/image-files.ts"
import { decodeImage, defaultMaxPixels } from "../../host/image/images.ts"
import { classifyEach, createClassifier } from "../../run/classify.ts"
import { type LoadOptions, loadModel } from "../../weights/load-model.ts"
import { type LabelOptions, type Result, readLabels, resultTable } from "../classifying.ts"
import { failureLine } from "../errors.ts"
import { repeated, wholeNumber } from "../options.ts"

interface Options extends LabelOptions, LoadOptions {
  readonly model: string
  readonly template?: readonly string[]
  readonly top: number
  readonly maxPixels: number
  readonly json?: true
}

const more = `
Examples:
  mobileclip classify photos --model models/s0 --labels cat,dog,"something else"
  mobileclip classify cat.jpg --model MobileCLIP2-S0 --labels-file labels.txt --template "a photo of a {}, a type of pet." --json

The score is a probability among the labels that you give (a softmax over them): they add up to 100 %, so one label alone
always has 100 %, and a picture that shows none of them gets one of them all the same. The cosine, from -1 to 1, compares
the picture with one label, whatever the others are. Where perhaps no label fits, add one such as "something else", or
look at the cosines, which one model gives in the same scale for all pictures and labels.
`

const defaultModel = "runs/quickstart/model"

export function register(program: Command): void {
  program
    .command("classify")
    .description("say which labels fit pictures best")
    .argument("<images...>", "picture files, or folders of them")
    .option("--labels <list>", "labels, separated by commas")
    .option("--labels-file <file>", "labels, one on each line")
    .option(
      "--model <model>",
      "a folder that `convert`, `export` or `quickstart` wrote, or of transformers.js or Immich; a run's folder, a file of weights, or a name that was pulled",
      defaultModel,
    )
    .option(
      "--template <text>",
      'prompt, {} is the label; repeat it to average several (default: "a photo of a {}.")',
      repeated,
    )
    .option("--top <k>", "labels to show for each picture", wholeNumber(1), 5)
    .option("--threads <n>", "processor threads (default: all)", wholeNumber(1))
    .option("--max-pixels <n>", "refuse larger pictures", wholeNumber(1), defaultMaxPixels)
    .option("--json", "print [{ image, labels: [{ label, score, cosine }] }]")
    .addHelpText("after", more)
    .action(classify)
}

async function classify(images: readonly string[], options: Options, command: Command): Promise<void> {
  const { writeOut, writeErr } = command.configureOutput()
  const labels = await readLabels(options, command)
  requireDefaultModel(options.model, command)
  const onStage = (line: string) => writeErr?.(`${line}\n`)
  await using model = await loadModel(options.model, { ...options, onStage })
  const classifier = await createClassifier(model, labels, options.template)
  for (const line of classifier.notes) writeErr?.(`${line}\n`)
  const files = await imageFiles(images, (line) => writeErr?.(`${line}\n`))
  const decode = (file: string) => decodeImage(file, { maxPixels: options.maxPixels })
  const results: Result[] = []
  for await (const { source, ...outcome } of classifyEach(classifier, files, decode)) {
    if ("labels" in outcome) results.push({ image: source, labels: outcome.labels.slice(0, options.top) })
    else if (files.length === 1) throw outcome.error
    else writeErr?.(failureLine(outcome.error))
  }
  if (options.json) writeOut?.(`${JSON.stringify(results, null, 2)}\n`)
  else if (results.length > 0) writeOut?.(`${resultTable(results)}\n`)
  const failed = files.length - results.length
  if (failed > 0) throw new UserError(`${failed} of ${files.length} pictures could not be read`)
}

function requireDefaultModel(model: string, command: Command): void {
  if (command.getOptionValueSource("model") === "default" && !existsSync(model)) {
    throw new UserError(
      `no --model was given, and ${model}, which is used then, does not exist`,
      "`mobileclip quickstart` writes it; or name a model: a folder, a file of weights, or a name (`mobileclip pull --list`)",
    )
  }
}
