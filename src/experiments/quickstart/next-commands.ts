/** Commands to type after the quickstart: at the end of its page, and of what it prints. */
import { join } from "node:path"
import { commandLine } from "../../core/shell-quote.ts"
import { presets, type QuickstartOptions } from "./recipe.ts"
import type { SuggestedLabels } from "./suggested-labels.ts"
import { noSuggestionText } from "./suggestion-text.ts"

export interface NextCommand {
  /** A line for a shell, or several. */
  readonly command: string
  readonly purpose: string
}

/**
 * @param stages the commands that reinforced the noisy set
 * @param suggestion labels to classify with; null where the student is good at none
 * @param right how many of the sample pictures get the right one: "22 of 24"
 */
export function nextCommands(
  options: Pick<QuickstartOptions, "out" | "recipe" | "seed">,
  stages: readonly string[],
  suggestion: SuggestedLabels | null,
  right: string,
): NextCommand[] {
  const reinforced = join(options.out, "reinforced")
  return [
    suggestion ? labelSamples(options.out, suggestion, right) : trainLonger(options),
    scoreBoth(options),
    { command: stages.join("\n"), purpose: "how the noisy set was reinforced; the same commands take shards of yours" },
    lookInto(reinforced),
    trainOn(reinforced),
  ]
}

function labelSamples(out: string, { labels, none, template }: SuggestedLabels, right: string): NextCommand {
  const choices = [...labels, ...(none === null ? [] : [none])].join(",")
  const model = out === "runs/quickstart" ? [] : ["--model", join(out, "model")]
  const options = ["--labels", choices, "--template", template, "--top", "1", ...model]
  const purpose = `label the sample pictures: ${right} get the right one, and the choice of labels had no part in them`
  return { command: commandOf("classify", join(out, "pictures"), ...options), purpose }
}

function trainLonger({ out, recipe, seed }: Parameters<typeof nextCommands>[0]): NextCommand {
  const isStandard = recipe === presets.standard
  const other = isStandard ? ["--seed", String(seed + 1)] : ["--preset", "standard"]
  return {
    command: commandOf("quickstart", ...other, "--out", `${out}-${isStandard ? "again" : "longer"}`),
    purpose: `${noSuggestionText}; ${isStandard ? "a student of another seed" : "the standard preset trains longer"}`,
  }
}

/** The pictures of this suite are of the splits that nothing is trained on. */
function scoreBoth({ out, seed }: Parameters<typeof nextCommands>[0]): NextCommand {
  const models = ["reinforced", "plain"].flatMap((kind) => ["--model", join(out, "students", `${kind}-${seed}`)])
  const results = join(out, "evaluation")
  const lines = [
    commandOf("evaluate", ...models, "--suite", "self", "--out", results),
    commandOf("evaluate", "compare", results, "--html", join(out, "compare.html")),
  ]
  return {
    command: lines.join("\n"),
    purpose: "score both students on other rendered tasks, and see what could be chance",
  }
}

function lookInto(reinforced: string): NextCommand {
  return {
    command: commandOf("reinforce", "stats", reinforced, "--contact-sheet", "sheet.png"),
    purpose: "look into the reinforced set: views, captions, agreement of the teachers",
  }
}

function trainOn(reinforced: string): NextCommand {
  const settings = ["loss.kind=distill", "loss.weights=[0,1]", "loss.teacherScales=[20,20]", "schedule.steps=2000"]
  const data = ["--train-data", reinforced, "--dataset-reinforcement", "--out", "runs/mine"]
  return { command: commandOf("train", ...data, ...settings), purpose: "train a larger student on it" }
}

function commandOf(...words: readonly string[]): string {
  return commandLine(["npx", "mobileclip", ...words])
}
