/** A thread of the pool (`picture-pool.ts`). */
import { preprocess } from "../../core/image/preprocess.ts"
import { decodeHere } from "../../host/image/images.ts"
import { serveThread } from "../../host/thread-pool.ts"
import type { MadePicture, PictureRequest } from "./picture-pool.ts"

serveThread(() => ({
  async answer({ name, bytes, targets, wantsImage }: PictureRequest): Promise<MadePicture> {
    const image = await decodeHere(bytes, { name })
    const pixels = targets.map((target) => {
      const out = new Float32Array(3 * target.size * target.size)
      preprocess(image, target, out)
      return out
    })
    return { pixels, image: wantsImage ? image : null }
  },
  transfer: ({ pixels }: MadePicture) => pixels.map(({ buffer }) => buffer),
}))
