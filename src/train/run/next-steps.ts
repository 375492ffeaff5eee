/** What to do with a run that has ended, as commands to paste. */
import { join } from "node:path"
import { commandLine } from "../../core/shell-quote.ts"

interface NextStep {
  readonly purpose: string
  readonly command: string
}

interface EndedRun {
  /** Folder of the run, as it was given. */
  readonly directory: string
  /** Whether its model writes captions. */
  readonly isCaptioner: boolean
  /** Steps of the whole run. */
  readonly steps: number
  /** Whether all of them are made. */
  readonly isFinished: boolean
  /** Its model directory; absent: it was not exported. */
  readonly exported?: string | undefined
}

/** The most likely one first. */
export function nextSteps(run: EndedRun): NextStep[] {
  const { directory, isFinished } = run
  const curves = { purpose: "look at its curves", command: curvesCommand(directory) }
  if (!isFinished) {
    const command = commandLine(["mobileclip", "train", "--out", directory, "--resume"])
    return [{ purpose: "go on with it", command }, curves]
  }
  return [useStep(run), curves, { purpose: "train it longer", command: longerCommand(run) }]
}

export function useStep({
  directory,
  isCaptioner,
  exported,
}: Pick<EndedRun, "directory" | "isCaptioner" | "exported">): NextStep {
  if (exported === undefined) {
    const words = ["export", join(directory, "model.safetensors"), "--out", join(directory, "model")]
    return { purpose: "export it, to use it", command: commandLine(["mobileclip", ...words]) }
  }
  if (isCaptioner)
    return {
      purpose: "describe a picture",
      command: commandLine(["mobileclip", "caption", "PICTURE", "--model", exported]),
    }
  const words = ["classify", "PICTURE", "--model", exported, "--labels", "cat,dog"]
  return { purpose: "label a picture", command: commandLine(["mobileclip", ...words]) }
}

/** TensorBoard is a program of its own (`pip install tensorboard`). */
export function curvesCommand(directory: string): string {
  return commandLine(["tensorboard", "--logdir", join(directory, "tensorboard")])
}

/** The rate of a finished run has reached its end, so that more steps are another run, which begins with its weights. */
export function longerCommand({ directory, steps }: Pick<EndedRun, "directory" | "steps">): string {
  const begin = ["--recipe", join(directory, "config.json"), "--pretrained", join(directory, "model.safetensors")]
  const other = `${directory.replace(/[/\\]+$/, "")}-longer`
  return commandLine(["mobileclip", "train", ...begin, "--steps", String(steps), "--out", other])
}
