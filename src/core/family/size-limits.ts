/**
 * Sizes in a configuration that no tensor of the file need bear out, and that decide how much is allocated: far above
 * every model of the family, and small enough that one picture or text stays below 100 MiB.
 */

/** The longest side of a picture in pixels: published towers take 224 to 336. */
export const longestSide = 2048

/** Tokens that attend to each other, which costs the square of their number: a picture of `longestSide` in patches of 16. */
export const longestSequence = 16_384

/** Values of a vector: published embeddings have 512 to 1,536. */
export const widestVector = 65_536

/** Different tokens in a vocabulary: CLIP's has 49,408. */
export const largestVocabulary = 2 ** 20
