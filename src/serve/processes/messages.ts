/** What a server and a process that works for it say to each other, over Node's channel between parent and child. */
import type { ErrorMessage } from "../../core/error-message.ts"

export type ToChild<Settings, Task> =
  /** The first message. */
  | { readonly kind: "open"; readonly settings: Settings }
  | { readonly kind: "task"; readonly id: number; readonly task: Task }
  /** Nobody waits for this task any more. */
  | { readonly kind: "abort"; readonly id: number }
  /** Is answered as soon as the process is not computing. */
  | { readonly kind: "ping" }

export type FromChild<Description, Answer> =
  | { readonly kind: "ready"; readonly description: Description }
  | { readonly kind: "pong" }
  | { readonly kind: "done"; readonly id: number; readonly answer: Answer; readonly residentBytes: number }
  /** `id` null: it could not open what it works with. */
  | { readonly kind: "failed"; readonly id: number | null; readonly error: ErrorMessage }
