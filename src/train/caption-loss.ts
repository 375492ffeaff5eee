/** CoCa's losses: contrastive as CLIP's, and each token of the caption from the image and the tokens before it. */
import * as torch from "../../torch/index.ts"
import { clipLoss } from "./loss.ts"

/**
 * The mean cross entropy of the labels that are not padding.
 *
 * @param logits [..., vocabSize]
 * @param labels token ids, int64 [...]
 * @param padId the label that does not count; where all are padding the loss is not a number
 * @returns shape []
 */
export function captionLoss(logits: torch.Tensor, labels: torch.Tensor, padId: number): torch.Tensor {
  const vocabSize = logits.shape.at(-1)!
  return crossEntropy(logits.reshape([-1, vocabSize]), labels.reshape([-1]), null, reduceByMean, padId, 0)
}

export interface CocaLossWeights {
  readonly contrastive: number
  readonly caption: number
}

/** open_clip's defaults. */
export const defaultCocaWeights: CocaLossWeights = { contrastive: 1, caption: 2 }

/** What CoCa makes of a batch of pairs. */
export interface CocaOutputs {
  /** Unit rows [N, D]. */
  readonly image: torch.Tensor
  readonly text: torch.Tensor
  /** [..., vocabSize], and the token that follows, [...]. */
  readonly logits: torch.Tensor
  readonly labels: torch.Tensor
}

export interface CocaLosses {
  readonly total: torch.Tensor
  /** As they go into the sum, with their weights. */
  readonly contrastive: torch.Tensor
  readonly caption: torch.Tensor
}

/** Source: open_clip loss.py `CoCaLoss`. `scale` is exp of `logitScale`. */
export function cocaLoss(
  { image, text, logits, labels }: CocaOutputs,
  scale: torch.Tensor,
  weights: CocaLossWeights = defaultCocaWeights,
  padId = 0,
): CocaLosses {
  const contrastive = clipLoss(image, text, scale).mul(weights.contrastive)
  const caption = captionLoss(logits, labels, padId).mul(weights.caption)
  return { total: contrastive.add(caption), contrastive, caption }
}

const reduceByMean = 1

const crossEntropy = torch.operator<
  [torch.Tensor, torch.Tensor, weight: null, reduction: number, ignoreIndex: number, labelSmoothing: number],
  torch.Tensor
>("cross_entropy_loss")
