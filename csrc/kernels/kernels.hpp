// The kernels of one instruction set, as a table of functions on plain structs.
//
// Files compiled for different instruction sets include this header. So it holds only plain data
// and declarations, nothing that could become a weak symbol.
#pragma once

#include <cstdint>

// The build defines FASTINV_X86 if the kernels for AVX2 and AVX-512 are compiled as well. A binary
// for several machines has them only in its part for x86.
#if defined(FASTINV_X86) && !defined(__x86_64__) && !defined(_M_X64)
#undef FASTINV_X86
#endif

#if defined(_MSC_VER)
#define FASTINV_INLINE __forceinline
#else
#define FASTINV_INLINE inline __attribute__((always_inline))
#endif

namespace fastinv {

enum class Activation : int { identity, relu, silu, tanh };

// Later layers with at most this many outputs are narrow, see PackedLayer.
constexpr std::int64_t kMaxNarrow = 8;

// Weights (n_in, n_out) are kept in panels of `panel` columns: panel j holds rows k = 0..n_in-1 of
// its columns side by side, at offset j * panel * n_in. The last panel has the remaining columns of
// `padded`, which is n_out rounded up to whole registers; padding is zero.
// The panels of a narrow layer would be mostly padding, so its weights are kept by output: column j
// of W at offset j * padded_in. The rows of its input must be zero from n_in to padded_in.
template <class T>
struct PackedLayer {
  std::int64_t n_in, n_out, padded, panel, n_panels;
  std::int64_t padded_in;  // n_in rounded up to whole registers
  bool narrow;
  T* weights;  // n_in * padded, or n_out * padded_in
  T* biases;   // padded
};

// Whether act' follows from act. For other activations a forward pass keeps it.
FASTINV_INLINE constexpr bool slope_follows_value(Activation activation) {
  return activation != Activation::silu;
}

// out = act(in W + b) for panels [begin, end): in (n_rows, n_in), out (n_rows, padded). All padded
// columns are written: act(0) if `in` is finite.
// slope, if given, receives act'(in W + b), (n_rows, out_stride) like out.
template <class T>
struct ForwardTask {
  PackedLayer<T> layer;
  const T* in;
  T* out;
  T* slope;
  std::int64_t n_rows, in_stride, out_stride;
  Activation activation;
};

// delta_in = (delta_out W^T) * act' of the layer below, for blocks [begin, end) of unit_block rows
// of W. Deltas of a layer with n units are stored by row (n_rows, stride) for the update, and
// transposed (n in whole registers, batch_stride) for the next layer down; the latter are zero
// beyond n_rows. Both are zero beyond the n units. In delta_in_t, which the sums start from, the
// padding must be zero beforehand.
template <class T>
struct InputGradientTask {
  PackedLayer<T> layer;
  const T* delta_out;     // (n_rows, out_stride)
  const T* delta_out_t;   // (n_out, batch_stride)
  T* delta_in;            // (n_rows, in_stride)
  T* delta_in_t;          // (padded_in, batch_stride)
  const T* below;         // (n_rows, in_stride): the layer below's values, or its slopes
  Activation activation;  // the layer below's; `below` are values where its slope follows them
  std::int64_t n_rows, batch_stride, in_stride, out_stride;
};

// g = in^T delta_out, then an Adam step on weights and biases, or only g stored if `gradient` has
// storage, for blocks [begin, end). Block b is panel b / n of W and its row block b % n, with n =
// ceil(n_in / row_block); the panel's first block owns its biases. A narrow layer's blocks are
// `panel` rows of W each; the first one owns the biases. Rows of delta_out must be zero from n_out
// to padded, and those of a narrow layer's input from n_in to padded_in.
template <class T>
struct UpdateTask {
  PackedLayer<T> layer;
  PackedLayer<T> first_moment, second_moment;
  PackedLayer<T> gradient;  // weights == nullptr: take the step; else only store g
  const T* in;              // (n_rows, in_stride)
  const T* delta_out;       // (n_rows, out_stride)
  std::int64_t n_rows, in_stride, out_stride;
  T beta_1, beta_2, epsilon;
  T step_size;         // learning rate / (1 - beta_1^t)
  T second_unbiasing;  // 1 / sqrt(1 - beta_2^t)
};

// A KD-tree, see kdtree/kdtree.hpp. Every node has up to kKDWidth children, and every leaf holds
// whole blocks of kKDWidth points, so one pass of the registers measures a node or a block. The
// layout is the same for every instruction set.
constexpr int kKDWidth = 16;
constexpr int kKDMaxHeight = 7;  // kKDWidth^7 blocks are more than 2^31 points

// Inner node: children [first, first + count) in `nodes`. Leaf: blocks [first, first + count).
struct KDNode {
  std::int32_t first, count;
};

// Nodes are stored level by level, the root first; all leaves are at level `height`. Inner node i
// has its children's boxes at boxes[i * n_dims * 2 * kKDWidth]: per dimension the low ends side by
// side, then the high ends. A block holds its points dimension by dimension, in ascending order of
// their indices. The last block is padded with infinite points of index kKDPadding, which lose to
// every point of the tree.
constexpr std::int32_t kKDPadding = 0x7fffffff;

template <class T>
struct KDTreeView {
  const KDNode* nodes;
  const T* boxes;               // (n_inner, n_dims, 2, kKDWidth)
  const T* points;              // (n_blocks, n_dims, kKDWidth)
  const std::int32_t* indices;  // (n_blocks, kKDWidth)
  std::int64_t n_points, n_dims, height;
};

// Writes the k nearest points of one query, 1 <= k <= n_points, ascending by (squared distance,
// index), to distances and indices (k each). A NaN distance counts as infinite.
template <class T>
struct KDQueryTask {
  KDTreeView<T> tree;
  const T* query;
  std::int64_t k;
  T* distances;
  std::int64_t* indices;
};

enum class Covariance : int { spherical, diag, full };

// losses[i] = -log sum_k weight_k N(target_i; mean_k, covariance_k) for rows [begin, end). If
// gradient has storage, it receives the derivatives by raw row i times gradient_factor.
// A raw row is logits (K) | means (K, D) | log scales (K, n_scales). For full covariance the scales
// are the rows of each lower Cholesky factor, with the logarithms of its diagonal.
// weight = (1 - K min_weight) softmax + min_weight, scale = min_scale + exp(log scale).
// workspace: mixture_workspace(K, D, n_raw) elements, for one thread.
template <class T>
struct MixtureTask {
  std::int64_t n_components, n_dims, n_scales, n_raw;
  Covariance covariance;
  T min_weight, min_scale, gradient_factor;
  const T* raw;      // (n, raw_stride)
  const T* targets;  // (n, n_dims)
  T* losses;         // (n)
  T* gradient;       // (n, gradient_stride)
  T* workspace;
  std::int64_t raw_stride, gradient_stride;
};

// One Gaussian mixture and how its log density looks around points [begin, end), which are whole
// registers. Matrices hold their lower triangles row by row: Di = D (D + 1) / 2 numbers. Points and
// results are columns: entry i of point s is at i * stride + s.
// With the mean precision P = L L^T of the components, each weighted by its share of the density,
// the coordinates L^T x have one local standard deviation as their unit. There the log density has
// the gradient `slope` and the Hessian -drop.
// safe = P^-1 gradient, an EM step, is `slope` long; leap is Newton's step, of length leap_length
// in these coordinates, which means something only where the least pivot of `drop` is positive:
// where the log density is concave.
// workspace: hills_workspace(K, D) elements, for one thread.
template <class T>
struct HillsTask {
  std::int64_t n_components, n_dims, stride;
  const T* log_factors;  // (K): log weight over volume
  const T* means;        // (K, D)
  const T* roots;        // (K, Di): A, the inverse of the covariance's Cholesky factor
  const T* precisions;   // (K, Di): A^T A
  const T* points;       // (D, stride)
  T* log_density;        // (stride), up to a constant
  T* slope_length;       // (stride)
  T* leap_length;        // (stride)
  T* least_pivot;        // (stride)
  T* safe;               // (D, stride)
  T* leap;               // (D, stride)
  T* slope;              // (D, stride)
  T* factor;             // (Di, stride): L
  T* drop;               // (Di, stride)
  T* workspace;
};

template <class T>
struct Kernels {
  std::int64_t lanes;       // elements of a register
  std::int64_t panel;       // columns of a packed panel
  std::int64_t row_block;   // rows of W that one block of `update` spans
  std::int64_t unit_block;  // rows of W that one block of `input_gradient` spans
  void (*forward)(const ForwardTask<T>&, std::int64_t panel_begin, std::int64_t panel_end);
  void (*input_gradient)(const InputGradientTask<T>&, std::int64_t begin, std::int64_t end);
  void (*update)(const UpdateTask<T>&, std::int64_t begin, std::int64_t end);
  void (*kdtree_query)(const KDQueryTask<T>&);
  void (*mixture)(const MixtureTask<T>&, std::int64_t begin, std::int64_t end);
  std::int64_t (*mixture_workspace)(std::int64_t k, std::int64_t d, std::int64_t n_raw);
  void (*hills)(const HillsTask<T>&, std::int64_t begin, std::int64_t end);
  std::int64_t (*hills_workspace)(std::int64_t k, std::int64_t d);
  void (*exp)(const T* in, T* out, std::int64_t n);
  void (*log)(const T* in, T* out, std::int64_t n);
  void (*tanh)(const T* in, T* out, std::int64_t n);
  std::int64_t flops_per_round;  // floating-point operations of one round of fma_chains
  T (*fma_chains)(T start, std::int64_t rounds);
};

}  // namespace fastinv
