/** Embeddings for LangChain, of pictures too. */
import { Embeddings } from "@langchain/core/embeddings"
import type { MobileCLIP, NodePicture } from "mobileclip"

export class MobileClipEmbeddings extends Embeddings {
  constructor(private readonly clip: MobileCLIP) {
    super({})
  }

  async embedDocuments(texts: string[]): Promise<number[][]> {
    return this.rows(await this.clip.encodeTexts(texts))
  }

  async embedQuery(text: string): Promise<number[]> {
    return [...(await this.clip.encodeText(text))]
  }

  /** In the space of the texts: give them to `addVectors` of a vector store. */
  async embedImages(pictures: readonly NodePicture[]): Promise<number[][]> {
    return this.rows(await this.clip.encodeImages(pictures))
  }

  private rows(vectors: Float32Array): number[][] {
    const { embedDim } = this.clip
    const starts = Array.from({ length: vectors.length / embedDim }, (_, i) => i * embedDim)
    return starts.map((start) => [...vectors.subarray(start, start + embedDim)])
  }
}
