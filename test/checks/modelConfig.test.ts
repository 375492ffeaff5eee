import { expect, test } from "vitest"
import { variants } from "../../src/core/family/variants.ts"
import { clipConfig, type GoldenConfig } from "./modelConfig.ts"
import { NotYet } from "./notYet.ts"

const timm = { timm_model_pretrained: false, timm_pool: "avg", timm_proj: null, timm_drop: 0, timm_drop_path: 0 }
const text512 = { context_length: 77, vocab_size: 49408, width: 512, heads: 8, layers: 12, no_causal_mask: true }
const text768 = { ...text512, width: 768, heads: 12 }
const appleText = {
  context_length: 77,
  vocab_size: 49408,
  dim: 512,
  ffn_multiplier_per_layer: 4.0,
  n_heads_per_layer: 8,
  n_transformer_layers: 12,
  norm_layer: "layer_norm_fp32",
  causal_masking: false,
  model_name: "base",
}

const tiny = {
  layers: [1, 1, 1],
  embed_dims: [32, 64, 64],
  mlp_ratios: [3, 3, 3],
  token_mixers: ["repmixer", "repmixer", "attention"],
  pos_embs: [null, null, "7x7"],
}

function apple(model_name: string, fields = {}, custom: object | null = null): GoldenConfig {
  const config = { embed_dim: 512, image_cfg: { image_size: 256, model_name }, text_cfg: { ...appleText, ...fields } }
  return { flavour: "apple", config, custom_image_tower_args: custom }
}

function openClip(timm_model_name: string, { model = {}, image = {}, text = {}, custom = {} } = {}): GoldenConfig {
  const config = {
    embed_dim: 768,
    vision_cfg: { timm_model_name, ...timm, image_size: 256, ...image },
    text_cfg: { ...text768, ...text },
    custom_text: true,
    ...model,
  }
  const isCustom = timm_model_name === "tiny"
  return { flavour: "openclip", config, custom_image_tower_args: isCustom ? { ...tiny, ...custom } : null }
}

function tower(custom: object): GoldenConfig {
  return openClip("tiny", { custom: { lkc_use_act: true, ...custom } })
}

test("the family by name", () => {
  expect(clipConfig(apple("mci1"))).toEqual(variants["mobileclip-s1"].model)
  expect(clipConfig(apple("mci2"))).toEqual(variants["mobileclip-s2"].model)
  expect(clipConfig(openClip("fastvit_mci4"))).toEqual(variants["mobileclip2-s4"].model)
  const s2 = openClip("fastvit_mci2", { model: { embed_dim: 512 }, text: text512 })
  expect(clipConfig(s2)).toEqual(variants["mobileclip2-s2"].model)
})

test("both code bases list downsampling by another stage; a change of width implies it", () => {
  const openclip = tower({ downsamples: [false, false, true] })
  expect(clipConfig(openclip).image).toMatchObject({ stages: [{}, { dim: 64 }, { posEmb: true }] })
  const left = apple("tiny", {}, { ...tiny, downsamples: [false, true, false] })
  expect(clipConfig(left).image).toEqual(clipConfig(openclip).image)
})

const unbuilt: readonly (readonly [what: string, GoldenConfig, message: string])[] = [
  ["an unknown tower", openClip("fastvit_sa12"), "fastvit_sa12"],
  ["a multimodal decoder", openClip("fastvit_mci3", { model: { multimodal_cfg: 1 } }), "multimodal_cfg=1"],
  ["QuickGELU", openClip("fastvit_mci3", { model: { quick_gelu: true } }), "quick_gelu=true"],
  ["another pooling", openClip("fastvit_mci3", { image: { timm_pool: "max" } }), 'timm_pool="max"'],
  ["another head", openClip("fastvit_mci3", { image: { timm_proj: "linear" } }), 'timm_proj="linear"'],
  ["an unknown text field", openClip("fastvit_mci3", { text: { act_layer: "relu" } }), 'act_layer="relu"'],
  ["another text tower", apple("mci0", { model_name: "lstm" }), 'model_name="lstm"'],
  ["another norm", apple("mci0", { norm_layer: "rms_norm" }), 'norm_layer="rms_norm"'],
  ["another MLP width", apple("mci0", { ffn_multiplier_per_layer: 3 }), "ffn_multiplier_per_layer=3"],
  ["no activation after the large kernel", tower({ lkc_use_act: false }), "lkc_use_act=false"],
  ["the default of that activation", openClip("tiny"), "lkc_use_act=undefined"],
  ["an unknown tower field", tower({ cls_ratio: 4 }), "cls_ratio=4"],
  ["a smaller position kernel", tower({ pos_embs: [null, null, [3, 3]] }), 'pos_embs="3,3"'],
  ["another mixer", tower({ token_mixers: ["repmixer", "repmixer", "pooling"] }), 'token_mixers="pooling"'],
  ["one downsampling less", tower({ downsamples: [false, true, false] }), "downsamples=[false,true,false]"],
  ["one downsampling more", tower({ downsamples: [true, true, true] }), "downsamples=[true,true,true]"],
]

test.each(unbuilt)("%s is not yet", (_, golden, message) => {
  expect(() => clipConfig(golden)).toThrow(NotYet)
  expect(() => clipConfig(golden)).toThrow(message)
})
