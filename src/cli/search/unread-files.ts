/** How a command of an index ends that had to leave files out. */
import { counted } from "../../core/counted.ts"
import type { IndexSummary } from "../../search/indexing/index-pictures.ts"
import { PartialSuccess } from "../errors.ts"

/** Throws PartialSuccess where files could not be read. */
export function requireAllRead(
  { failed, unread, kept = 0 }: Pick<IndexSummary, "failed" | "unread"> & Partial<Pick<IndexSummary, "kept">>,
  why: string,
): void {
  const parts = [
    ...(failed > 0 ? [`${counted(failed, "file")} could not be read${why}`] : []),
    ...(unread > 0 ? [`${counted(unread, "file")} could not be read now: run the same command again`] : []),
    ...(kept > 0 ? [`${counted(kept, "file")} could not be looked for: their folders are away or cannot be read`] : []),
  ]
  if (parts.length > 0) throw new PartialSuccess(parts.join("; "))
}
