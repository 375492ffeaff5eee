/** Labels and prompts to begin with. */

export interface Preset {
  readonly name: string
  readonly labels: readonly string[]
}

export const presets: readonly Preset[] = [
  {
    name: "Everyday things",
    labels: ["cup", "bottle", "book", "chair", "plant", "phone", "keyboard", "shoe", "fruit", "face", "something else"],
  },
  { name: "Animals", labels: ["cat", "dog", "bird", "fish", "horse", "insect", "reptile", "no animal"] },
  {
    name: "Scenes",
    labels: ["kitchen", "office", "street", "beach", "forest", "mountains", "city at night", "garden"],
  },
  {
    name: "Ten kinds (CIFAR-10)",
    labels: ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"],
  },
  {
    name: "Kinds of picture",
    labels: ["photograph", "screenshot", "drawing", "diagram", "map", "receipt", "page of text"],
  },
]

export const defaultTemplates: readonly string[] = ["a photo of a {}."]

/** Several wordings, whose vectors are averaged. */
export const manyTemplates: readonly string[] = [
  "a photo of a {}.",
  "a blurry photo of a {}.",
  "a close-up photo of a {}.",
  "a photo of a small {}.",
  "a photo of a large {}.",
  "a bright photo of a {}.",
  "a dark photo of a {}.",
]
