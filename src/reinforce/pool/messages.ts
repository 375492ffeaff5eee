/** What a pool and its worker processes say to each other, over Node's channel between parent and child. */
import type { ShardResult, ShardTask } from "../runner.ts"

export type ToWorker =
  /** The first message: whatever the worker's program needs to open its models. */
  | { readonly kind: "open"; readonly settings: unknown }
  | { readonly kind: "task"; readonly task: ShardTask }
  /** Abandons the task under way. */
  | { readonly kind: "abort" }

export type FromWorker =
  | { readonly kind: "ready"; readonly identity: string }
  | { readonly kind: "progress"; readonly samples: number }
  | { readonly kind: "activity" }
  | { readonly kind: "done"; readonly result: ShardResult }
  | { readonly kind: "failed"; readonly failure: Failure }

/** An error that has crossed the border between processes. */
export interface Failure {
  /** `input`: a UserError. `environment`: an EnvironmentError. `fault`: any other, a fault of ours. */
  readonly kind: "input" | "environment" | "fault"
  readonly message: string
  readonly hint: string | null
}
