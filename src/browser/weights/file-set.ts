/** The files of one model, wherever they are. */
import type { Manifest } from "../../core/inference/manifest.ts"
import type { LoadProgress } from "../../run/clip-host.ts"

export type FileProgress = Omit<LoadProgress, "file">

export interface ReadFile {
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly from: "network" | "cache" | "memory"
}

export interface FileSet {
  /** For messages. */
  readonly where: string
  /** What the model is called where no file says it; null: nothing. */
  readonly name: string | null
  readonly manifest: Manifest | null
  /** Relative, with forward slashes. */
  readonly names: readonly string[]
  /** Grows. */
  readonly notes: readonly string[]
  /** Whole and checked. */
  read(name: string, onProgress: (progress: FileProgress) => void): Promise<ReadFile>
}
