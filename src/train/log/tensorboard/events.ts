/**
 * TensorBoard's messages in protobuf's wire format. Source: tensorflow/core/util/event.proto and framework/summary.proto.
 * Field numbers we write:
 *
 * | message    | fields                                                                                         |
 * |------------|------------------------------------------------------------------------------------------------|
 * | Event      | wall_time 1 (double), step 2 (int64), file_version 3, summary 5, session_log 7                  |
 * | SessionLog | status 1 (START is 1: what was logged from this step on is forgotten)                           |
 * | Summary    | value 1                                                                                        |
 * | Value      | tag 1, simple_value 2 (float), image 4                                                         |
 * | Image      | height 1, width 2, colorspace 3 (RGB is 3), encoded_image_string 4 (a PNG or JPEG file)         |
 */
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire"

const START = 1
const RGB = 3

export interface EventPicture {
  readonly width: number
  readonly height: number
  /** A PNG or JPEG file. */
  readonly file: Uint8Array
}

export type EventValue = number | EventPicture

export interface Event {
  /** Seconds since 1970. */
  readonly wallTime: number
  readonly step: number
  readonly content:
    | { readonly kind: "version" }
    | { readonly kind: "restart" }
    | { readonly kind: "summary"; readonly values: Readonly<Record<string, EventValue>> }
}

export function encodeEvent({ wallTime, step, content }: Event): Uint8Array<ArrayBuffer> {
  const writer = new BinaryWriter()
  writer.tag(1, WireType.Bit64).double(wallTime)
  if (step > 0) writer.tag(2, WireType.Varint).int64(step)
  switch (content.kind) {
    case "version":
      return writer.tag(3, WireType.LengthDelimited).string("brain.Event:2").finish()
    case "restart":
      writer.tag(7, WireType.LengthDelimited).fork().tag(1, WireType.Varint).int32(START).join()
      return writer.finish()
    case "summary":
      writer.tag(5, WireType.LengthDelimited).fork()
      for (const [tag, value] of Object.entries(content.values)) encodeValue(writer, tag, value)
      return writer.join().finish()
    default:
      throw new Error(`unknown event ${content satisfies never}`)
  }
}

function encodeValue(writer: BinaryWriter, tag: string, value: EventValue): void {
  writer.tag(1, WireType.LengthDelimited).fork()
  writer.tag(1, WireType.LengthDelimited).string(tag)
  if (typeof value === "number") writer.tag(2, WireType.Bit32).float(value)
  else encodePicture(writer, value)
  writer.join()
}

function encodePicture(writer: BinaryWriter, { width, height, file }: EventPicture): void {
  writer.tag(4, WireType.LengthDelimited).fork()
  writer.tag(1, WireType.Varint).int32(height).tag(2, WireType.Varint).int32(width)
  writer.tag(3, WireType.Varint).int32(RGB).tag(4, WireType.LengthDelimited).bytes(file).join()
}
