/** Small copies of pictures, so that a page of results does not hold full photographs. */

const side = 320
const made = new WeakMap<Blob, Promise<Blob>>()

/** At most 320 pixels wide or high, turned as the camera noted; the file itself where this browser cannot decode it. */
export function thumbnailOf(file: Blob): Promise<Blob> {
  const known = made.get(file)
  if (known) return known
  const making = make(file).catch(() => file)
  made.set(file, making)
  return making
}

async function make(file: Blob): Promise<Blob> {
  const bitmap = await createImageBitmap(file)
  const scale = Math.min(1, side / Math.max(bitmap.width, bitmap.height))
  const canvas = new OffscreenCanvas(Math.max(1, bitmap.width * scale), Math.max(1, bitmap.height * scale))
  const context = canvas.getContext("2d")!
  context.imageSmoothingQuality = "high"
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height)
  bitmap.close()
  return canvas.convertToBlob({ type: "image/jpeg", quality: 0.85 })
}
