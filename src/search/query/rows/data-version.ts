/** When something that was read from an index is to be read again. */
import type { IndexStore } from "../../store/index-store.ts"

/** Another number after each commit of another connection. */
export function dataVersion(store: IndexStore): number {
  return Number(Object.values(store.row("PRAGMA data_version")!)[0])
}
