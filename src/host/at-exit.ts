/** What must be removed when the process ends, unless it is killed: also where `process.exit` skips all `finally`. */
const pending = new Set<() => void>()

/** Runs `remove` when the process exits, unless the function that is returned was called before. */
export function atExit(remove: () => void): () => void {
  if (pending.size === 0) process.on("exit", removeAll)
  pending.add(remove)
  return () => {
    pending.delete(remove)
    if (pending.size === 0) process.off("exit", removeAll)
  }
}

function removeAll(): void {
  for (const remove of pending) {
    try {
      remove()
    } catch {
      // The others are removed all the same.
    }
  }
}
