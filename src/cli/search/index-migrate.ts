/** mobileclip index migrate */
import { type Command, Option } from "commander"
import { type CheckResult, checkModel, describeComparison } from "../../search/migrate/check-model.ts"
import type { Recall } from "../../search/migrate/map-recall.ts"
import { cancelMigration, type MigrateResult, migrateIndex } from "../../search/migrate/migrate-index.ts"
import { type PreviewResult, previewModel } from "../../search/migrate/preview-model.ts"
import { indexCommand } from "../../search/store/index-command.ts"
import { type CommandContext, sameCommand } from "../context.ts"
import { number, progressOption, threadsOption, wholeNumber } from "../options.ts"
import { type ProgressMode, progressReporter } from "../progress.ts"
import { indexOption } from "./index-option.ts"

interface Options {
  readonly index: string
  readonly model?: string
  readonly cancel?: true
  readonly restart?: true
  readonly allowMissing?: true
  readonly mostMissing?: number
  readonly check?: true
  readonly adopt?: true
  readonly preview?: number | true
  readonly apply?: true
  readonly acceptPoor?: true
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
  mobileclip index migrate --index photos.index --cancel                         give up what has begun
`

export function registerMigrate(command: Command, context: CommandContext): void {
  command
    .command("migrate")
    .description("encode the pictures of an index by another model, and switch to it")
    .addOption(indexOption())
    .option("--model <model>", "the new one: whatever `classify` takes")
    .option("--cancel", "give up a migration that has begun; the index stays as it is")
    .option("--restart", "begin again, and give up what a migration that has begun has")
    .option("--allow-missing", "switch even if many pictures could not be encoded")
    .option("--most-missing <share>", "of pictures that may be missing (default: 0.01)", number(0, 1))
    .option("--check", "encode a sample, and say whether the vectors are the same")
    .option("--adopt", "as --check, and if they are, say that the index is of this model")
    .option("--preview [n]", "encode a sample, and say what mapped vectors would find (default: 2000)", wholeNumber(50))
    .option("--apply", "with --preview: switch to mapped vectors, where they find at least half of what is wanted")
    .option("--accept-poor", "with --apply: however little they find")
    .addOption(threadsOption())
    .addOption(new Option("--json", "print what was done as JSON"))
    .addOption(progressOption())
    .addHelpText("after", more)
    .action((options: Options, command: Command) => run(options, command, context))
}

async function run(given: Options, command: Command, context: CommandContext): Promise<void> {
  requireOneQuestion(given, command)
  const { index, progress, json, check, adopt, preview, apply, acceptPoor, cancel, model = "", ...rest } = given
  const { writeOut, writeErr } = command.configureOutput()
  const common = {
    ...rest,
    model,
    ...{ startProgress: progressReporter(progress), onStage: (line: string) => writeErr?.(`${line}\n`) },
    signal: context.abortOnInterrupt("stopping after the current pictures", sameCommand(context.argv)),
  }
  const print = <T>(result: T, text: (result: T) => string) =>
    writeOut?.(`${json ? JSON.stringify(result, null, 2) : text(result)}\n`)
  if (cancel) return print(await cancelMigration(index, common.signal), cancelText)
  if (check || adopt) return print(await checkModel(index, { ...common, adopt }), checkText)
  if (!preview) return print(await migrateIndex(index, common), (result) => migrateText(index, result))
  const sample = preview === true ? undefined : preview
  print(await previewModel(index, { ...common, sample, apply, acceptPoor }), previewText)
}

function requireOneQuestion(given: Options, command: Command): void {
  const { model, cancel, check, adopt, preview, apply, acceptPoor, restart, allowMissing, mostMissing } = given
  if (cancel && (model ?? check ?? adopt ?? preview ?? restart) !== undefined)
    command.error("error: --cancel stands alone, with --index")
  if (!cancel && model === undefined) command.error("error: required option '--model <model>' not specified")
  if (acceptPoor && !apply) command.error("error: --accept-poor belongs to --apply")
  if ((check || adopt) && preview) command.error("error: --check and --preview are two different questions")
  if (apply && !preview) command.error("error: --apply belongs to --preview")
  const ofMigration = { "--restart": restart, "--allow-missing": allowMissing, "--most-missing": mostMissing }
  const other = Object.entries(ofMigration).find(([, value]) => value !== undefined)
  if (other && (check || adopt || preview))
    command.error(
      `error: ${other[0]} is for encoding all pictures, which ${preview ? "--preview" : "--check"} does not`,
    )
}

function cancelText(model: string | null): string {
  return model === null ? "no migration has begun" : `the migration to ${model} is given up; the index stays as it is`
}

function migrateText(index: string, { model, pictures, encoded, before, missing }: MigrateResult): string {
  const counts = `${encoded} encoded${before > 0 ? `, ${before} before` : ""}`
  const reasons = missing.slice(0, 5).map(({ reason }) => `  ${reason}`)
  if (missing.length > 0)
    reasons.unshift(`${missing.length} could not be, and left the index until ${indexCommand(index)} reads them again:`)
  return [`the index is of ${model}: ${pictures} pictures, ${counts}`, ...reasons].join("\n")
}

function checkText(result: CheckResult): string {
  const found = describeComparison(result)
  if (result.adopted) return `the index is of ${result.model} now: its vectors are the same (${found})`
  if (result.same) return `the same vectors (${found}): only the name changed, which --adopt takes over`
  return `other vectors (${found}): the pictures must be encoded again`
}

function previewText({ model, from, pictures, sample, kind, meanCosine, ...result }: PreviewResult): string {
  const { text, picture, fullSeconds, applied } = result
  const cosine = `mean cosine ${meanCosine.toFixed(4)} on held-out ones`
  return [
    `${from} to ${model} by ${kind}, learnt from ${sample} pictures: ${cosine}`,
    `recall that mapped vectors would have among all ${pictures} pictures, estimated (in brackets: measured in the sample):`,
    recallText("text", text),
    recallText("picture", picture),
    `encoding all pictures takes about ${Math.ceil(fullSeconds / 60)} min here`,
    ...(applied
      ? [
          "the index answers with mapped vectors now; the same command without --preview and --apply encodes the pictures",
        ]
      : []),
  ].join("\n")
}

function recallText(kind: "text" | "picture", recall: Recall): string {
  const { queries, at10, margin10, at20, margin20, ofAll10, ofAll20 } = recall
  const percent = (value: number) => (100 * value).toFixed(1)
  const share = (ofAll: number, at: number, margin: number) =>
    `${percent(ofAll)} % (${percent(at)} +- ${percent(margin)} %)`
  return `  ${kind} queries (${queries}): recall@10 ${share(ofAll10, at10, margin10)}, recall@20 ${share(ofAll20, at20, margin20)}`
}
