/** Decoded pictures for an evaluation that is repeated: the first ones stay in memory up to a bound, the others are decoded each time. */
import type { Image8 } from "../core/image/pixels.ts"

/** What is left of the memory for pictures, which the tasks of a list share. */
export interface PictureRoom {
  bytes: number
}

/** For a list of tasks: 340 pictures of 256 x 256, or 5,000 of 64 x 64. To decode takes a small part of what a tower takes. */
export function defaultRoom(): PictureRoom {
  return { bytes: 64 * 2 ** 20 }
}

export class KeptPictures {
  private readonly kept: Image8[] = []
  private isFull = false

  /** @param decode the pictures from this place on, in an order that does not change */
  constructor(
    private readonly room: PictureRoom,
    private readonly decode: (from: number) => AsyncIterable<Image8>,
  ) {}

  /** All pictures in their order. One walk at a time. */
  async *all(): AsyncGenerator<Image8> {
    yield* this.kept
    for await (const image of this.decode(this.kept.length)) {
      this.keep(image)
      yield image
    }
  }

  private keep(image: Image8): void {
    const { byteLength } = image.data
    this.isFull ||= byteLength > this.room.bytes
    if (this.isFull) return
    this.room.bytes -= byteLength
    this.kept.push(image)
  }
}
