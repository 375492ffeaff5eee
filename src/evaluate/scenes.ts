/** Scores of a model on the test splits of the scenes dataset. */

import type { Image8 } from "../core/image/pixels.ts"
import type { Encoder } from "../core/inference/encoder.ts"
import { mapOrdered } from "../core/parallel.ts"
import { expandShards } from "../data/expand.ts"
import { type SceneRecord, sceneOf } from "../data/scenes/record.ts"
import { TASKS, type Task } from "../data/scenes/tasks.ts"
import { metadataOf, readShard } from "../data/shards.ts"
import { decodeImage } from "../host/image/images.ts"
import { usableProcessors } from "../host/processors.ts"
import { imageVectors } from "./encode.ts"
import { type RetrievalResult, retrieval, type TaskResult, zeroShot } from "./tasks.ts"

export interface Scene {
  readonly jpeg: Uint8Array
  readonly record: SceneRecord
}

interface ScoredTask extends TaskResult {
  readonly classNames: readonly string[]
}

/** The pictures of one split, still encoded. */
export async function readScenes(folder: string): Promise<Scene[]> {
  const scenes: Scene[] = []
  for await (const scene of scenesIn(folder)) scenes.push(scene)
  return scenes
}

/** The same one by one, for what keeps no picture. */
export async function* scenesIn(folder: string): AsyncGenerator<Scene> {
  for (const shard of await expandShards(folder)) {
    for await (const sample of readShard(shard)) {
      const name = `${shard}: ${sample.key}`
      yield { jpeg: sample.members.get("jpg")!, record: sceneOf(metadataOf(sample, name), name) }
    }
  }
}

/** Every task of the scenes dataset, in its order. */
export async function scoreTasks(
  encoder: Encoder,
  scenes: readonly Scene[],
  onPictures: (done: number) => void,
): Promise<ScoredTask[]> {
  return scoreDecoded(encoder, scenes, decoded(scenes), onPictures)
}

/** The same with pictures that are already decoded. */
export async function scoreDecoded(
  encoder: Encoder,
  scenes: readonly Pick<Scene, "record">[],
  images: Iterable<Image8> | AsyncIterable<Image8>,
  onPictures?: (done: number) => void,
): Promise<ScoredTask[]> {
  const vectors = await imageVectors(encoder, images, onPictures)
  const results: ScoredTask[] = []
  for (const task of TASKS) {
    results.push({ ...(await zeroShot(encoder, overAll(task, scenes), vectors)), classNames: classNamesOf(task) })
  }
  return results
}

/** Retrieval between pictures and their precise captions. */
export async function scoreRetrieval(encoder: Encoder, scenes: readonly Scene[]): Promise<RetrievalResult> {
  const vectors = await imageVectors(encoder, decoded(scenes))
  const captions = scenes.map(({ record }) => record.caption)
  return retrieval(encoder, vectors, captions, [...captions.keys()])
}

function decoded(scenes: readonly Scene[]): AsyncGenerator<Image8> {
  return mapOrdered(scenes, 2 * usableProcessors().count, ({ jpeg }) => decodeImage(jpeg))
}

function overAll(task: Task, scenes: readonly Pick<Scene, "record">[]): Parameters<typeof zeroShot>[1] {
  const labels = scenes.map(({ record }) => task.label(record))
  if (task.kind === "classes") return { ...task, labels }
  const captions = scenes.map(({ record }, i) => (labels[i] === null ? [] : task.candidates(record)))
  return { kind: task.kind, name: task.name, captions, labels }
}

function classNamesOf(task: Task): readonly string[] {
  return task.kind === "classes" ? task.classNames : Array.from({ length: task.choices }, (_, i) => `choice ${i + 1}`)
}
