/** How long the event loop took no turn. */

const everyMilliseconds = 2

/** Returns what tells the longest pause so far, in seconds, with the one that lasts now. Does not keep the process alive. */
export function watchEventLoop(): () => number {
  let [last, longest] = [performance.now(), 0]
  const look = () => {
    const now = performance.now()
    longest = Math.max(longest, now - last - everyMilliseconds)
    last = now
  }
  setInterval(look, everyMilliseconds).unref()
  return () => {
    look()
    return longest / 1000
  }
}
