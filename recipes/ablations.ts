/**
 * The set-ups in which both papers compare: 12 million pairs, 8,192 a step, 30,000 steps (245.8 million pairs, about 20
 * passes), reinforced and plain. About a day on 8 GPUs of 80 GB, at 61.7 % on ImageNet for v1's. Source: the papers'
 * ablations and the released `run_datacomp12m.sh`, `run_datacompdr12m.sh`, `run_dfndr12m.sh`: warm-up 1,000, last
 * rate 0. The scripts compute in fp16, the papers in bf16, as here. v1's reinforced script gives one teacher scale for
 * two teachers, which its own code rejects: both are 100. Epsilon is 1e-6 for models named "vit", by open_clip's rule.
 */
import type { RecipeInput } from "../src/train/recipe/schema.ts"

const plain = {
  data: { resampled: true, view: "crop", cropScale: [0.9, 1], samples: 12_800_000 },
  loss: { kind: "clip" },
  batch: { size: 8192 },
  schedule: { steps: 30_000, warmup: 1000, learningRate: 1e-3, minLearningRate: 0 },
  optimizer: { beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.2, gradClipNorm: 1 },
  precision: "amp_bf16",
  activationCheckpointing: true,
  save: { every: 1500, keep: 2 },
} as const satisfies RecipeInput

const reinforced = {
  ...plain,
  data: { resampled: true, reinforced: true, view: "stored", samples: 12_800_000 },
} as const satisfies RecipeInput

/** v1: ViT-B/16 with CLIP's text tower. */
const v1 = { model: "vit-b-16", optimizer: { ...plain.optimizer, eps: 1e-6 } } as const satisfies RecipeInput

export const ablationRecipes = {
  "datacomp-12m": { ...plain, ...v1 },
  "datacompdr-12m": {
    ...reinforced,
    ...v1,
    loss: { kind: "distill", weights: [0, 1], teacherScales: [100, 100] },
  },
  "dfn-12m": { ...plain, model: "mobileclip2-b" },
  "dfndr-12m": {
    ...reinforced,
    model: "mobileclip2-b",
    data: { ...reinforced.data, syntheticPattern: "^syn_text_dfn_mscoco38k$" },
    loss: { kind: "distill", weights: [0, 1], teacherScales: [70, 60] },
  },
} as const satisfies Record<string, RecipeInput>
