/** mobileclip index migrate */
import { type Command, Option } from "commander"
import { type CheckResult, checkModel } from "../../search/migrate/check-model.ts"
import { type MigrateResult, migrateIndex } from "../../search/migrate/migrate-index.ts"
import { type PreviewResult, previewModel } from "../../search/migrate/preview-model.ts"
import { type CommandContext, sameCommand } from "../context.ts"
import { number, progressOption, threadsOption, wholeNumber } from "../options.ts"
import { type ProgressMode, progressReporter } from "../progress.ts"
import { indexOption } from "./index-option.ts"

interface Options {
  readonly index: string
  readonly model: string
  readonly restart?: true
  readonly allowMissing?: true
  readonly mostMissing?: number
  readonly check?: true
  readonly adopt?: true
  readonly preview?: number | true
  readonly apply?: true
  readonly threads?: number
  readonly progress: ProgressMode
  readonly json?: true
}

const more = `
The old vectors answer until all new ones are there. The same command goes on after Ctrl-C or a crash.

Examples:
  mobileclip index migrate --model MODEL --index photos.index --check            are its vectors the same?
  mobileclip index migrate --model MODEL --index photos.index --preview          what mapped vectors would find
  mobileclip index migrate --model MODEL --index photos.index --preview --apply  switch today, with mapped vectors
  mobileclip index migrate --model MODEL --index photos.index                    encode tonight
`

export function registerMigrate(command: Command, context: CommandContext): void {
  command
    .command("migrate")
    .description("encode the pictures of an index by another model, and switch to it")
    .addOption(indexOption())
    .requiredOption("--model <model>", "the new one: whatever `classify` takes")
    .option("--restart", "begin again, and give up what a migration that has begun has")
    .option("--allow-missing", "switch even if many pictures could not be encoded")
    .option("--most-missing <share>", "of pictures that may be missing (default: 0.01)", number(0, 1))
    .option("--check", "encode a sample, and say whether the vectors are the same")
    .option("--adopt", "with --check: if they are, say that the index is of this model")
    .option("--preview [n]", "encode a sample, and say what mapped vectors would find (default: 2000)", wholeNumber(50))
    .option("--apply", "with --preview: switch to mapped vectors")
    .addOption(threadsOption())
    .addOption(new Option("--json", "print what was done as JSON"))
    .addOption(progressOption())
    .addHelpText("after", more)
    .action((options: Options, command: Command) => run(options, command, context))
}

async function run(given: Options, command: Command, context: CommandContext): Promise<void> {
  const { index, progress, json, check, adopt, preview, apply, ...options } = given
  if ((check || adopt) && preview) command.error("error: --check and --preview are two different questions")
  if (apply && !preview) command.error("error: --apply belongs to --preview")
  const { writeOut, writeErr } = command.configureOutput()
  const common = {
    ...options,
    ...{ startProgress: progressReporter(progress), onStage: (line: string) => writeErr?.(`${line}\n`) },
    signal: context.abortOnInterrupt("stopping after the current pictures", sameCommand(context.argv)),
  }
  const print = <T>(result: T, text: (result: T) => string) =>
    writeOut?.(`${json ? JSON.stringify(result, null, 2) : text(result)}\n`)
  if (check || adopt) return print(await checkModel(index, { ...common, adopt }), checkText)
  if (!preview) return print(await migrateIndex(index, common), migrateText)
  const sample = preview === true ? undefined : preview
  print(await previewModel(index, { ...common, sample, apply }), previewText)
}

function migrateText({ model, pictures, encoded, before, missing }: MigrateResult): string {
  const reasons = missing.slice(0, 5).map(({ reason }) => `  ${reason}`)
  const counts = `${encoded} encoded${before > 0 ? `, ${before} before` : ""}`
  const without = missing.length > 0 ? `; ${missing.length} without a vector:` : ""
  return [`the index is of ${model}: ${pictures} pictures, ${counts}${without}`, ...reasons].join("\n")
}

function checkText({ model, same, adopted, compared, median }: CheckResult): string {
  if (adopted) return `the index is of ${model} now: its vectors are the same (median cosine ${median.toFixed(4)})`
  if (same)
    return `the same vectors (median cosine ${median.toFixed(4)} of ${compared}): only the name changed; --adopt`
  const found = compared > 0 ? `median cosine ${median.toFixed(4)} of ${compared}` : "they have another length"
  return `other vectors (${found}): the pictures must be encoded again`
}

function previewText({
  model,
  from,
  sample,
  kind,
  meanCosine,
  fullSeconds,
  applied,
  ...recall
}: PreviewResult): string {
  const lines = (["text", "picture"] as const).map((name) => {
    const { queries, at10, margin10, at20, margin20 } = recall[name]
    const share = (value: number, margin: number) => `${(100 * value).toFixed(1)} +- ${(100 * margin).toFixed(1)} %`
    return `  ${name} queries (${queries}): recall@10 ${share(at10, margin10)}, recall@20 ${share(at20, margin20)}`
  })
  return [
    `${from} to ${model} by ${kind}, learnt from ${sample} pictures: mean cosine ${meanCosine.toFixed(4)} on held-out ones`,
    ...lines,
    `encoding all pictures takes about ${Math.ceil(fullSeconds / 60)} min here`,
    ...(applied ? ["the index answers with mapped vectors now; encode with the same command without --preview"] : []),
  ].join("\n")
}
