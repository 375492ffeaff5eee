/** The camera: frames to scores, one after the other, and how many of them there are in a second. */
import { UserError } from "mobileclip/browser"

const kept = 30

/** Frames a second of the whole way, as a user sees it: the median of the last 30. */
export class FrameRate {
  private readonly milliseconds: number[] = []

  /** @param milliseconds from one frame's scores to the next one's */
  add(milliseconds: number): void {
    this.milliseconds.push(milliseconds)
    if (this.milliseconds.length > kept) this.milliseconds.shift()
  }

  /** Null before the third frame. */
  get perSecond(): number | null {
    const sorted = this.milliseconds.toSorted((a, b) => a - b)
    const middle = sorted.length >> 1
    if (sorted.length < 3) return null
    const median = sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
    return 1000 / median
  }

  get frames(): number {
    return this.milliseconds.length
  }
}

/** Throws UserError that says what to do. */
export async function openCamera(video: HTMLVideoElement): Promise<MediaStream> {
  if (!navigator.mediaDevices?.getUserMedia)
    throw new UserError("this page may not use a camera", "open it from https or localhost, or choose a picture")
  let stream: MediaStream | null = null
  try {
    const wanted = { facingMode: "environment", width: { ideal: 1280 }, height: { ideal: 720 } }
    stream = await navigator.mediaDevices.getUserMedia({ video: wanted })
    video.srcObject = stream
    await video.play()
    return stream
  } catch (error) {
    closeCamera(stream)
    throw cameraError(error)
  }
}

function cameraError(error: unknown): Error {
  const { name, message } = Object(error) as { name?: string; message?: string }
  if (name === "NotAllowedError")
    return new UserError("the camera was not allowed", "allow it in the browser's bar of addresses, and try again")
  if (name === "NotFoundError") return new UserError("this device has no camera", "choose a picture, or paste one")
  if (name === "NotReadableError")
    return new UserError("the camera is used by another program", "close that program, and try again")
  return new UserError(`the camera does not start: ${message ?? name}`, "choose a picture, or paste one")
}

export function closeCamera(stream: MediaStream | null): void {
  for (const track of stream?.getTracks() ?? []) track.stop()
}

/** A frame that is newer than the last one. */
export function nextFrame(video: HTMLVideoElement): Promise<void> {
  return new Promise((resolve) => {
    if ("requestVideoFrameCallback" in video) video.requestVideoFrameCallback(() => resolve())
    else requestAnimationFrame(() => resolve())
  })
}
