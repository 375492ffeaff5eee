/** How a command of an index ends that had to leave files out. */
import { counted } from "../../core/counted.ts"
import type { IndexSummary } from "../../search/indexing/index-pictures.ts"
import { PartialSuccess } from "../errors.ts"

/** Throws PartialSuccess where files could not be read. */
export function requireAllRead({ failed, unread }: Pick<IndexSummary, "failed" | "unread">, why: string): void {
  const parts = [
    ...(failed > 0 ? [`${counted(failed, "file")} could not be read${why}`] : []),
    ...(unread > 0 ? [`the machine could not read ${counted(unread, "file")} now: run the same command again`] : []),
  ]
  if (parts.length > 0) throw new PartialSuccess(parts.join("; "))
}
