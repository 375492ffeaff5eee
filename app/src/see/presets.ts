/** Labels and prompts to begin with. */

export interface Preset {
  readonly name: string
  readonly labels: readonly string[]
  /** What the labels are put into. */
  readonly templates: readonly string[]
  /** Names of models that were trained on such pictures alone: labels of others would say nothing. */
  readonly models?: RegExp
}

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

/** The quickstart's student knows these colours of shapes, and hardly the shapes. */
export const shapeColours: Preset = {
  name: "Colours of drawn shapes (quickstart)",
  labels: ["red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white"],
  templates: ["one {} object"],
  models: /^quickstart-/,
}

export const presets: readonly Preset[] = [
  {
    name: "Everyday things",
    labels: ["cup", "bottle", "book", "chair", "plant", "phone", "keyboard", "shoe", "fruit", "face", "something else"],
    templates: defaultTemplates,
  },
  {
    name: "Animals",
    labels: ["cat", "dog", "bird", "fish", "horse", "insect", "reptile", "no animal"],
    templates: defaultTemplates,
  },
  {
    name: "Scenes",
    labels: ["kitchen", "office", "street", "beach", "forest", "mountains", "city at night", "garden"],
    templates: defaultTemplates,
  },
  {
    name: "Ten kinds (CIFAR-10)",
    labels: ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"],
    templates: defaultTemplates,
    models: /^cifar10-/,
  },
  {
    name: "Kinds of picture",
    labels: ["photograph", "screenshot", "drawing", "diagram", "map", "receipt", "page of text"],
    templates: defaultTemplates,
  },
  shapeColours,
]

/** What a model begins with until its user writes own words. */
export function presetFor(model: string | null): Preset {
  return presets.find(({ models }) => model !== null && models?.test(model)) ?? presets[0]!
}
