/**
 * What a message of the queue asks for. Whoever may publish on the server writes messages, so that a worker believes
 * nothing that it can check: a bad one ends itself, and neither the worker nor another shard.
 */
import { messageOf, oneLine, quoted } from "../../../core/errors.ts"
import { parseJsonText } from "../../../data/json-text.ts"
import { requireOutput } from "../../job/output.ts"
import type { ShardTask } from "../../runner.ts"
import { indexOfSubject } from "../server/queued-job.ts"
import { type JobRecord, schemas } from "../server/records.ts"

type TaskMessage =
  | { readonly kind: "task"; readonly task: ShardTask }
  /** On the subject of a shard of the job, and not what the job publishes there. */
  | { readonly kind: "malformed"; readonly index: number; readonly reason: string }
  /** It belongs to no shard of the job. */
  | { readonly kind: "stray"; readonly reason: string }

export function readTaskMessage(
  message: { readonly subject: string; string(): string },
  { shards, output }: Pick<JobRecord, "shards" | "output">,
): TaskMessage {
  const index = indexOfSubject(message.subject)
  if (index === null || index >= shards) {
    return {
      kind: "stray",
      reason: `the job has ${shards} shards, and none with the subject ${quoted(message.subject)}`,
    }
  }
  const fault = (reason: string) => ({ kind: "malformed", index, reason: oneLine(reason, 500) }) as const
  const task = parseTask(message.string())
  if (!task) return fault(`the message is not that of a shard: ${quoted(message.string())}`)
  if (task.index !== index) return fault(`the message is that of shard ${task.index}`)
  try {
    requireOutput(task.output, output)
    return { kind: "task", task }
  } catch (error) {
    return fault(messageOf(error))
  }
}

function parseTask(text: string): ShardTask | null {
  try {
    return schemas.task.safeParse(parseJsonText(text)).data ?? null
  } catch {
    return null
  }
}
