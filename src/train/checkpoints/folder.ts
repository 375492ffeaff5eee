/** The checkpoints of a run's directory: `checkpoints/step-00000200.safetensors`, the last few of them. */
import { existsSync } from "node:fs"
import { readdir, rm } from "node:fs/promises"
import { join } from "node:path"
import { SafetensorsFile } from "../../core/containers/safetensors.ts"
import { makeDirectory, openRandomAccess, writeAtomically } from "../../host/files/files.ts"
import { removeAbandoned } from "../../host/files/staging.ts"
import { unmarkRun } from "../run/new-run.ts"
import { readTrainingState, type TrainingState, trainingStateChunks } from "./state.ts"

const pattern = /^step-(\d{8,})\.safetensors$/

/** The newest checkpoint of a run, or null. Files are complete or absent, so it can be read. */
export async function latestCheckpoint(directory: string): Promise<string | null> {
  const [newest] = await checkpointsOf(directory)
  return newest?.path ?? null
}

/** The step of the newest checkpoint of a run, or null. */
export async function latestStep(directory: string): Promise<number | null> {
  const [newest] = await checkpointsOf(directory)
  return newest?.step ?? null
}

/** Throws UserError when the file is damaged, or is not a training state. */
export function readCheckpoint(path: string): TrainingState {
  const file = openRandomAccess(path)
  try {
    return readTrainingState(new SafetensorsFile(file), path)
  } finally {
    file.close()
  }
}

/**
 * Writes the state, and keeps the last `keep` checkpoints up to it. Later ones are removed: they belong to steps that this run
 * went back on. What a killed save left is removed first, to free its space.
 */
export async function saveCheckpoint(directory: string, state: TrainingState, keep: number): Promise<string> {
  const folder = join(directory, "checkpoints")
  await makeDirectory(folder)
  await removeAbandoned(folder)
  const path = join(folder, `step-${String(state.step).padStart(8, "0")}.safetensors`)
  await writeAtomically(path, trainingStateChunks(state))
  await unmarkRun(directory)
  for (const other of superfluous(await checkpointsOf(directory), state.step, keep)) await rm(other, { force: true })
  return path
}

/** Removes incomplete files that a killed run left in its directory and among its checkpoints. */
export async function cleanRun(directory: string): Promise<void> {
  await removeAbandoned(directory)
  await removeAbandoned(join(directory, "checkpoints"))
}

interface Checkpoint {
  readonly path: string
  readonly step: number
}

/** All but the last `keep` up to `step`. None where the checkpoint of `step` is missing: then another process works here. */
export function superfluous(checkpoints: readonly Checkpoint[], step: number, keep: number): string[] {
  if (!checkpoints.some((checkpoint) => checkpoint.step === step)) return []
  const later = checkpoints.filter((checkpoint) => checkpoint.step > step)
  const earlier = checkpoints.filter((checkpoint) => checkpoint.step <= step).slice(keep)
  return [...later, ...earlier].map(({ path }) => path)
}

/** Newest first. */
async function checkpointsOf(directory: string): Promise<Checkpoint[]> {
  const folder = join(directory, "checkpoints")
  if (!existsSync(folder)) return []
  const numbered = (await readdir(folder)).flatMap((name) => {
    const step = pattern.exec(name)?.[1]
    return step ? [{ path: join(folder, name), step: Number(step) }] : []
  })
  return numbered.sort((a, b) => b.step - a.step)
}
