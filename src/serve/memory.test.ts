import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import sharp from "sharp"
import { expect, test } from "vitest"
import { lastThird, measureMemory, processes } from "../../bench/serve/memory.ts"
import { inOwnFolder } from "../../bench/serve/start.ts"

/** JPEG files of some 60 kB, as what is kept of requests would be seen by the size of pictures. */
async function makePictures(folder: string): Promise<void> {
  mkdirSync(folder)
  for (let i = 0; i < 6; i++) {
    const noise = { type: "gaussian", mean: 100 + 10 * i, sigma: 30 } as const
    const picture = sharp({ create: { width: 300, height: 300, channels: 3, background: "white", noise } })
    writeFileSync(join(folder, `${i}.jpg`), await picture.jpeg({ quality: 90 }).toBuffer())
  }
}

const requests = 10_000

/** `bench/serve-faults.ts` asks seven times as much, and allows 16 MB. */
test("over requests of all kinds, no process keeps 8 kB of each", async () => {
  const found = await inOwnFolder(async (folder) => {
    await makePictures(join(folder, "pictures"))
    return measureMemory(folder, { requests, pictures: join(folder, "pictures") })
  })
  for (const name of processes) expect.soft(lastThird(found, name) / (0.3 * requests), name).toBeLessThan(8000)
}, 300_000)
