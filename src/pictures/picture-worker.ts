/** A thread of the pool (`picture-pool.ts`). */
import { decodeHere } from "../host/image/images.ts"
import { serveThread } from "../host/thread-pool.ts"
import type { MadePicture, PictureRequest } from "./picture-pool.ts"
import { fillFrom, preparePixels } from "./prepare-pixels.ts"

serveThread(() => ({
  async answer({ name, bytes, targets, wantsImage, options }: PictureRequest): Promise<MadePicture> {
    const wanted = targets.map((preprocessing) => ({
      preprocessing,
      out: new Float32Array(3 * preprocessing.size ** 2),
    }))
    const pixels = wanted.map(({ out }) => out)
    if (!wantsImage) {
      await preparePixels(bytes, wanted, { ...options, name }, "here")
      return { pixels, image: null }
    }
    const image = await decodeHere(bytes, { ...options, name })
    fillFrom(image, wanted)
    return { pixels, image }
  },
  transfer: ({ pixels }: MadePicture) => pixels.map(({ buffer }) => buffer),
}))
