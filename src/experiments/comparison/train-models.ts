/**
 * Trains several models at once, each in a process of its own with its share of the threads. Small models leave a second
 * thread idle half of the time, so two processes with one thread each do half as much work again as one process with two.
 */
import { type ChildProcess, fork } from "node:child_process"
import { type ErrorMessage, fromMessage } from "../../core/error-message.ts"
import { UserError } from "../../core/errors.ts"
import type { StartProgress } from "../../core/progress.ts"
import { workerFile } from "../../host/worker-file.ts"
import type { TrainingResult } from "../../train/run/run-directory.ts"
import { type ModelTraining, trainModel } from "./train-model.ts"

export interface ModelsContext {
  readonly startProgress: StartProgress
  readonly signal: AbortSignal
  /** Threads of this machine, which the models share. */
  readonly threads: number
}

/** What a process sends to its parent. */
export type Message =
  | { readonly kind: "progress"; readonly done: number; readonly detail: string }
  | { readonly kind: "result"; readonly result: TrainingResult }
  | { readonly kind: "error"; readonly error: ErrorMessage }

/** Results in the order of the trainings. Throws the error of the first one that fails; the others are stopped, with a checkpoint. */
export async function trainModels(
  trainings: readonly ModelTraining[],
  context: ModelsContext,
): Promise<TrainingResult[]> {
  context.signal.throwIfAborted()
  const threads = Math.max(1, Math.floor(context.threads / trainings.length))
  const shared = trainings.map((training) => ({ ...training, config: { ...training.config, threads } }))
  const [only] = shared
  if (shared.length === 1) return [await trainModel(only!, context)]
  const children = shared.map(() =>
    fork(workerFile(import.meta.url, "worker"), { env: { ...process.env, OMP_NUM_THREADS: `${threads}` } }),
  )
  const stop = () => {
    for (const child of children) if (child.exitCode === null) child.kill("SIGTERM")
  }
  context.signal.addEventListener("abort", stop)
  const progress = jointProgress(shared, context.startProgress)
  try {
    const results = await Promise.all(
      children.map((child, i) => resultOf(child, shared[i]!, (done, detail) => progress.update(i, done, detail))),
    )
    progress.done()
    return results
  } catch (error) {
    context.signal.throwIfAborted()
    throw error
  } finally {
    stop()
    context.signal.removeEventListener("abort", stop)
  }
}

function resultOf(child: ChildProcess, training: ModelTraining, onProgress: (done: number, detail: string) => void) {
  return new Promise<TrainingResult>((resolve, reject) => {
    child.on("message", (message: Message) => {
      if (message.kind === "progress") onProgress(message.done, message.detail)
      else if (message.kind === "result") resolve(message.result)
      else reject(named(training.name, fromMessage(message.error)))
    })
    child.once("error", reject)
    child.once("exit", (code, signal) =>
      reject(
        new UserError(
          `the process that trains ${training.name} ended with ${signal ?? `code ${code}`}`,
          "the same command goes on from its last checkpoint",
        ),
      ),
    )
    child.send(training)
  })
}

function named(name: string, error: Error): Error {
  error.message = `${name}: ${error.message}`
  return error
}

/** One progress line for all models: the sum of their samples, and each one's status. */
function jointProgress(trainings: readonly ModelTraining[], startProgress: StartProgress) {
  const total = trainings.reduce((sum, { config }) => sum + config.steps * config.batchSize, 0)
  const progress = startProgress(trainings.map(({ name }) => name).join(" + "), total, { unit: "samples" })
  const done = trainings.map(() => 0)
  const details = trainings.map(() => "")
  const text = () => details.filter(Boolean).join(" | ")
  return {
    update(i: number, samples: number, detail: string) {
      done[i] = samples
      details[i] = detail
      progress.update(
        done.reduce((sum, each) => sum + each, 0),
        text(),
      )
    },
    done: () => progress.done(text()),
  }
}
