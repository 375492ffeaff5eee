/** The pixels of a bitmap as they were stored. */
import { UserError } from "../../core/errors.ts"
import { type Image8, type Rgba, withoutAlpha } from "../../core/image/pixels.ts"

/** Colours are not blended with what is transparent. Closes the bitmap. */
export function readPixels(bitmap: ImageBitmap, name: string): Image8 {
  try {
    const drawn = byCanvas(bitmap)
    return withoutAlpha(isOpaque(drawn) ? drawn : (byTexture(bitmap) ?? drawn))
  } catch (error) {
    throw new UserError(`${name}: the browser does not give its pixels`, "make it smaller", { cause: error })
  } finally {
    bitmap.close()
  }
}

function isOpaque({ data }: Rgba): boolean {
  for (let i = 3; i < data.length; i += 4) if (data[i] !== 255) return false
  return true
}

/** A canvas keeps colours times alpha, so that those of transparent pixels are lost. */
function byCanvas(bitmap: ImageBitmap): Rgba {
  const { width, height } = bitmap
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true })!
  context.drawImage(bitmap, 0, 0)
  return context.getImageData(0, 0, width, height)
}

/** A texture keeps both apart. Null where there is no WebGL, or the bitmap is larger than its textures. */
function byTexture(bitmap: ImageBitmap): Rgba | null {
  const { width, height } = bitmap
  const gl = new OffscreenCanvas(1, 1).getContext("webgl2")
  if (!gl || Math.max(width, height) > gl.getParameter(gl.MAX_TEXTURE_SIZE)) return null
  gl.bindTexture(gl.TEXTURE_2D, gl.createTexture())
  gl.pixelStorei(gl.UNPACK_COLORSPACE_CONVERSION_WEBGL, gl.NONE)
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, bitmap)
  gl.bindFramebuffer(gl.FRAMEBUFFER, gl.createFramebuffer())
  const texture = gl.getParameter(gl.TEXTURE_BINDING_2D)
  gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, texture, 0)
  const data = new Uint8Array(4 * width * height)
  gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, data)
  const isRead = gl.getError() === gl.NO_ERROR
  gl.getExtension("WEBGL_lose_context")?.loseContext()
  return isRead ? { width, height, data } : null
}
