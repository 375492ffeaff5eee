/** What `mobileclip finetune` prints at its end. */
import { isDeepStrictEqual } from "node:util"
import { commandLine } from "../../core/shell-quote.ts"
import { defaultTemplates } from "../../core/text/prompts.ts"
import { askedIn } from "../../finetune/probe.ts"
import type { FinetuneReport } from "../../finetune/report-data.ts"
import { adviceOf, choiceText, classesText, guessingText, verdictOf, verdictText } from "../../finetune/verdict.ts"
import { isCoca } from "../../model/checkpoint/checkpoint.ts"
import { spacedPercent, textTable } from "../table.ts"

export function summary(report: FinetuneReport, page: string): string {
  const { before, chosen, probe, pictures, run, bestStep, candidates, config } = report
  const verdict = verdictOf(probe, before, chosen)
  const advice = adviceOf(verdict, config.learningRate)
  const classes = classesText(before, chosen)
  return [
    verdictText(verdict),
    ...(classes === null ? [] : [`but ${classes}`]),
    `${guessingText(verdict)}; ${choiceText(candidates.length > 1)}`,
    ...(advice === null ? [] : [`what may help: ${advice}`]),
    `${run.step} steps, the best after ${bestStep}; share of tuned weights ${chosen.alpha}`,
    ...(chosen.alpha === 0
      ? ["no tuned model was better than the start: the model that was written is the start"]
      : []),
    ...leftOut(pictures),
    ...(pictures.cutOff > 0 ? [`${pictures.cutOff} pictures are cut off, and were used as far as they go`] : []),
    "",
    probeTable(report),
    "",
    `${verdict.becameRight} pictures became right, ${verdict.becameWrong} became wrong`,
    "",
    `report: ${page}`,
    `next:   ${commandLine(["mobileclip", ...next(report)])}`,
  ].join("\n")
}

/** Shares with the counts they are of. */
function probeTable({ before, chosen, probe }: FinetuneReport): string {
  const cell = (share: number, name: string) => {
    const all = askedIn(probe, name)
    return all === null ? spacedPercent(share) : `${Math.round(share * all)} of ${all}, ${spacedPercent(share)}`
  }
  return textTable(
    [{ title: "probe" }, ...["before", "after", "guessing"].map((title) => ({ title, align: "right" as const }))],
    Object.keys(before.figures).map((name) => [
      name,
      cell(before.figures[name]!, name),
      cell(chosen.figures[name]!, name),
      name in probe.chance ? spacedPercent(probe.chance[name]!) : "",
    ]),
  )
}

function leftOut({ withoutCaption, damaged }: FinetuneReport["pictures"]): string[] {
  const parts = [
    ...(withoutCaption > 0 ? [`${withoutCaption} pictures without a caption`] : []),
    ...(damaged > 0 ? [`${damaged} that cannot be read`] : []),
  ]
  return parts.length > 0 ? [`left out: ${parts.join(", ")}`] : []
}

/** The most names that a command shows; more are in a file. */
const mostNames = 5

function next({ start, model, probe, labels }: FinetuneReport): string[] {
  if (isCoca(start.info.config)) return ["caption", "PICTURE", "--model", model]
  const classify = ["classify", "PICTURE", "--model", model]
  if (!probe.classes || labels === null) return [...classify, "--labels", "cat,dog"]
  const { names, templates } = probe.classes
  const fits = names.length <= mostNames && !names.some((name) => /[,\r\n]/.test(name))
  return [
    ...classify,
    ...(fits ? ["--labels", names.join(",")] : ["--labels-file", labels]),
    ...(isDeepStrictEqual(templates, defaultTemplates) ? [] : templates.flatMap((text) => ["--template", text])),
  ]
}
