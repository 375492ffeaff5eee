/** Embeddings of texts and pictures for LlamaIndex. */
import { MultiModalEmbedding } from "@llamaindex/core/embeddings"
import type { ImageType } from "@llamaindex/core/schema"
import type { MobileCLIP } from "mobileclip"

export class MobileClipEmbedding extends MultiModalEmbedding {
  constructor(private readonly clip: MobileCLIP) {
    super()
    this.embedInfo = { dimensions: clip.embedDim }
  }

  async getTextEmbedding(text: string): Promise<number[]> {
    return [...(await this.clip.encodeText(text))]
  }

  /** A path, a `file:` URL, a `data:` URI or a Blob. */
  async getImageEmbedding(image: ImageType): Promise<number[]> {
    return [...(await this.clip.encodeImage(image))]
  }

  override getTextEmbeddings = async (texts: string[]) => this.rows(await this.clip.encodeTexts(texts))

  override getImageEmbeddings = async (images: ImageType[]) => this.rows(await this.clip.encodeImages(images))

  private rows(vectors: Float32Array): number[][] {
    const { embedDim } = this.clip
    const starts = Array.from({ length: vectors.length / embedDim }, (_, i) => i * embedDim)
    return starts.map((start) => [...vectors.subarray(start, start + embedDim)])
  }
}
