/** What the report says, from what came of the stages. */
import "../../host/no-telemetry.ts"

import { join } from "node:path"
import { env as onnxruntime } from "onnxruntime-node"
import * as torch from "../../../torch/index.ts"
import { commandLine } from "../../core/shell-quote.ts"
import { namesOf, SHAPES } from "../../data/scenes/attributes.ts"
import type { CaptionAccuracy } from "../../data/scenes/caption-accuracy.ts"
import { version } from "../../host/version.ts"
import { buildModel } from "../../model/checkpoint/checkpoint.ts"
import type { Clip } from "../../model/clip.ts"
import { thisMachine } from "../../report/machine.ts"
import { totalLoss } from "../../train/log/entries.ts"
import type { TrainingResult } from "../../train/run/run-directory.ts"
import type { StepTimes } from "../comparison/step-time.ts"
import { curveOf, type StudentResults } from "../comparison/students.ts"
import type { Clock } from "./clock.ts"
import { guessing } from "./guessing.ts"
import type { QuickstartOptions } from "./options.ts"
import type { ReportData } from "./report-content.ts"

/** Of the stages; evaluated is the first reinforced student, as it was exported. */
export interface Outcome extends Pick<ReportData, "tasks" | "retrieval" | "pictures"> {
  readonly teachers: readonly TrainingResult[]
  readonly captioner: TrainingResult
  readonly captions: CaptionAccuracy
  /** How the noisy set was reinforced. */
  readonly commands: readonly string[]
  readonly stepTime: StepTimes
  readonly students: StudentResults
}

export function reportData(outcome: Outcome, { out, recipe }: QuickstartOptions, clock: Clock): ReportData {
  const { teachers, captioner, captions, commands, stepTime, students, tasks, retrieval, pictures } = outcome
  const training = students.first.reinforced
  const earlier = [...teachers, captioner].reduce((sum, each) => sum + each.earlierSeconds, students.earlierSeconds)
  return {
    seconds: clock.seconds() + earlier,
    samplesSeen: training.info.samplesSeen,
    uniquePictures: recipe.scenes.noisy,
    model: describeModel(training),
    training: describeTraining(training),
    plain: students.plain,
    reinforced: students.reinforced,
    guessing,
    efficiencyRatio: students.efficiency,
    stepTimeRatio: stepTime.ratio,
    stepTime,
    teachers: recipe.teachers.map(({ name }, i) => ({ name, ...curveOf(teachers[i]!).at(-1)! })),
    captioner: { ...curveOf(captioner).at(-1)!, captions },
    losses: { plain: students.first.plain.steps, reinforced: training.steps },
    tasks,
    retrieval,
    pictures,
    stages: clock.stages,
    machine: thisMachine(),
    versions: {
      mobileclip: version(),
      libtorch: torch.version(),
      onnxruntime: onnxruntime.versions.node ?? "unknown",
      node: process.versions.node,
    },
    next: nextCommands(out, commands),
  }
}

function describeModel({ info }: TrainingResult): ReportData["model"] {
  const { name, config } = info
  const model = buildModel(config) as Clip
  const parameters = { image: model.image.learnedSize(), text: model.text.learnedSize(), total: model.learnedSize() }
  return { name, imageSize: config.imageSize, embedDim: config.embedDim, parameters }
}

function describeTraining({ info, step, steps, samplesPerSecond }: TrainingResult): ReportData["training"] {
  const batchSize = info.samplesSeen / step
  return { steps: step, batchSize, samplesPerSecond, finalLoss: totalLoss(steps.at(-1)!) }
}

function nextCommands(out: string, stages: readonly string[]): ReportData["next"] {
  const model = out === "runs/quickstart" ? [] : ["--model", join(out, "model")]
  const labels = namesOf(SHAPES).join(",")
  const reinforced = join(out, "reinforced")
  const training = ["loss.kind=distill", "loss.weights=[0,1]", "loss.teacherScales=[20,20]", "schedule.steps=2000"]
  return [
    {
      command: commandOf(
        "classify",
        join(out, "pictures"),
        "--labels",
        labels,
        "--template",
        "a {}",
        "--top",
        "1",
        ...model,
      ),
      purpose: "label the sample pictures, with these labels or others",
    },
    {
      command: stages.join("\n"),
      purpose: "how the noisy set was reinforced; the same commands take shards of yours",
    },
    {
      command: commandOf("reinforce", "stats", reinforced, "--contact-sheet", "sheet.png"),
      purpose: "look into the reinforced set: views, captions, what the teachers agree on",
    },
    {
      command: commandOf(
        "train",
        "--train-data",
        reinforced,
        "--dataset-reinforcement",
        "--out",
        "runs/mine",
        ...training,
      ),
      purpose: "train a larger student on it",
    },
  ]
}

function commandOf(...words: readonly string[]): string {
  return commandLine(["npx", "mobileclip", ...words])
}
