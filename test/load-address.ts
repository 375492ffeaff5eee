/**
 * A process that loads a model from an address, computes with both towers and ends: `node dist/test/load-address.js ADDRESS`.
 */
import { MobileCLIP } from "../src/index.ts"

const [address] = process.argv.slice(2) as [string]
const image = { width: 300, height: 200, channels: 3, data: new Uint8Array(300 * 200 * 3) } as const
const clip = await MobileCLIP.load(address, { threads: 1 })
await clip.classify([image], ["a cat", "a dog"])
await clip.dispose()
