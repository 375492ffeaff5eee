/** What tests call in a page: the library, and what it is made of, so that each stage is compared by itself. */
import * as library from "../../src/browser/index.ts"
import { decodePicture } from "../../src/browser/pictures/decode.ts"
import { JpegDecoder } from "../../src/browser/pictures/jpeg.ts"

const page = { ...library, decodePicture, JpegDecoder, models: new Map<string, library.MobileCLIP>() }

export type TestedPage = typeof page

Object.assign(globalThis, { mobileclip: page })
