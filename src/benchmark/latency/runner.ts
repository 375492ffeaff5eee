/** Towers that are loaded and can be run again and again: on ONNX Runtime, or on libtorch. */
import { endOfText } from "../../core/text/tokenizer.ts"
import type { TowerName } from "../../export/towers.ts"
import type { LoadOptions } from "../../run/load-options.ts"
import { OnnxGraph, sessionOptions } from "../../run/session.ts"
import { GraphTower } from "../../run/tower.ts"

export interface Runner {
  /** Computes the whole batch; its result is on the host when this resolves. */
  run(): Promise<unknown>
  close(): Promise<void>
}

/** Where a tower is on disk, and what it takes. As plain data it goes to another process too. */
export interface TowerPlace {
  readonly tower: TowerName
  readonly directory: string
  /** Relative to the directory. */
  readonly file: string
  /** Names of the input and the output. */
  readonly input: string
  readonly output: string
  readonly imageSize: number
  readonly contextLength: number
}

export interface RunOptions {
  readonly batch: number
  readonly threads: number
  /** An execution provider of ONNX Runtime; on libtorch "cpu" or "cuda". */
  readonly device: NonNullable<LoadOptions["provider"]>
}

export async function openTower(place: TowerPlace, { batch, threads, device }: RunOptions): Promise<Runner> {
  const { directory, file, imageSize, contextLength, tower: name } = place
  const graph = new OnnxGraph(directory, file, sessionOptions({ threads, provider: device }))
  const tower = new GraphTower(graph, place, imageSize)
  const input = towerInput({ imageSize, text: { contextLength } }, name, batch)
  const lengths = Array<number>(batch).fill(contextLength)
  return {
    run: () => (input.tower === "image" ? tower.images(input.data, batch) : tower.texts(input.data, lengths)),
    close: () => graph.release(),
  }
}

export type TowerInput =
  | { readonly tower: "image"; readonly data: Float32Array }
  | { readonly tower: "text"; readonly data: BigInt64Array }

/** Grey pictures, or texts of full length, so that causal towers do all their work. */
export function towerInput(
  { imageSize, text }: { readonly imageSize: number; readonly text: { readonly contextLength: number } },
  tower: TowerName,
  batch: number,
): TowerInput {
  if (tower === "image") return { tower, data: new Float32Array(batch * 3 * imageSize * imageSize).fill(0.5) }
  const { contextLength } = text
  const isLast = (i: number) => i % contextLength === contextLength - 1
  const data = BigInt64Array.from({ length: batch * contextLength }, (_, i) => (isLast(i) ? BigInt(endOfText) : 320n))
  return { tower, data }
}
