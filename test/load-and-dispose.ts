/**
 * A process that loads a model, uses it and disposes of it, again and again: `node dist/test/load-and-dispose.js MODEL TIMES`.
 * Prints the resident bytes after each time, as JSON.
 */
import { MobileCLIP } from "../src/index.ts"

const [model, times] = process.argv.slice(2) as [string, string]
const image = { width: 300, height: 200, channels: 3, data: new Uint8Array(300 * 200 * 3) } as const
const resident: number[] = []

for (let time = 0; time < Number(times); time++) {
  await loadAndDispose()
  // Node gives memory back when it collects; 20 ms for what native code frees after that.
  globalThis.gc!()
  await new Promise((resolve) => setTimeout(resolve, 20))
  resident.push(process.memoryUsage.rss())
}
console.log(JSON.stringify(resident))

async function loadAndDispose(): Promise<void> {
  const clip = await MobileCLIP.load(model, { threads: 1 })
  await clip.classify([image], ["a cat", "a dog", `label ${resident.length}`])
  await clip.dispose()
}
