/**
 * Pixels with the channels innermost (channels-last), as libtorch's convolutions on the processor are fastest: the same
 * operations, in the forms that are fast with this layout. Measured with libtorch 1.13 and 2.13 (docs/log.md).
 * Shapes: N batch, C channels, M filters of each channel, H height, W width.
 */
import * as torch from "../../torch/index.ts"
import type { Conv2dGeometry } from "./tensor.ts"

const inMemoryFormat = torch.operator<[torch.Tensor, memoryFormat: string], torch.Tensor>("contiguous")

/** [N, C, H, W] with the same values. */
export function inChannelsLast(pixels: torch.Tensor): torch.Tensor {
  return inMemoryFormat(pixels, "channels_last")
}

/** [N, C, H, W] -> the same shape. libtorch 1.13 takes values one by one where they are not in the order of the shape. */
export function geluOfPixels(pixels: torch.Tensor): torch.Tensor {
  return pixels.permute([0, 2, 3, 1]).gelu().permute([0, 3, 1, 2])
}

/**
 * A convolution of which each channel has M filters of its own: the channels are repeated first, because oneDNN knows
 * depthwise convolutions with one filter a channel only, and takes ten times as long for others.
 */
export function convolve(
  pixels: torch.Tensor,
  weight: torch.Tensor,
  bias: torch.Tensor | null,
  { stride, padding, groups }: Conv2dGeometry,
): torch.Tensor {
  const [filters, channels] = weight.shape as readonly [number, number, number, number]
  const isPlain = groups === 1 || channels > 1 || filters === groups
  const input = isPlain ? pixels : repeatChannels(pixels, filters / groups)
  return torch.conv2d(input, weight, bias, stride, padding, 1, isPlain ? groups : filters)
}

/** [N, C, H, W] -> [N, C * M, H, W], copies of a channel side by side. */
function repeatChannels(pixels: torch.Tensor, times: number): torch.Tensor {
  const [batch, channels, height, width] = pixels.shape as readonly [number, number, number, number]
  const repeated = pixels.permute([0, 2, 3, 1]).unsqueeze(-1).expand([batch, height, width, channels, times])
  return repeated.reshape([batch, height, width, channels * times]).permute([0, 3, 1, 2])
}
