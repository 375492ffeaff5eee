/** An embedding model for the AI SDK: `embedMany({ model: embeddingModel(clip), values })`. */
import type { EmbeddingModelV4 } from "@ai-sdk/provider"
import type { MobileCLIP } from "mobileclip"

/** Values are texts, and `data:` URIs of pictures; both get vectors in one space. */
export function embeddingModel(clip: MobileCLIP): EmbeddingModelV4 {
  const isPicture = (value: string) => value.startsWith("data:image/")
  const row = (vectors: Float32Array, i: number) => [...vectors.subarray(i * clip.embedDim, (i + 1) * clip.embedDim)]
  return {
    specificationVersion: "v4",
    provider: "mobileclip",
    modelId: clip.info.name,
    maxEmbeddingsPerCall: 256,
    supportsParallelCalls: false,
    async doEmbed({ values, abortSignal: signal }) {
      const pictures = await clip.encodeImages(values.filter(isPicture), { signal })
      const texts = await clip.encodeTexts(
        values.filter((value) => !isPicture(value)),
        { signal },
      )
      let [picture, text] = [0, 0]
      const embeddings = values.map((value) => (isPicture(value) ? row(pictures, picture++) : row(texts, text++)))
      return { embeddings, warnings: [] }
    },
  }
}
