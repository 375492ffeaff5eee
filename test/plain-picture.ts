/** Pictures of an index, for tests and measurements that are about vectors and captions. */
import type { NewPicture } from "../src/search/store/picture-rows.ts"

/** Number `n`, with the file `n.jpg` in root 1. @param vector null: it has none */
export function plainPicture(n: number, vector: Float32Array | null, caption: string | null = null): NewPicture {
  const hash = Buffer.alloc(32)
  hash.writeUInt32LE(n)
  return {
    content: {
      ...{ hash, bytes: 1, format: "jpg", width: 1, height: 1, orientation: 1, sharpness: null, caption, keywords: [] },
      ...{ taken: null, camera: null, lens: null, latitude: null, longitude: null },
    },
    vector,
    files: [{ root: 1, path: `${n}.jpg`, size: 1, mtime: n }],
  }
}
