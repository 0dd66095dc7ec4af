// The table of this instruction set's kernels.

template <class T>
constexpr Kernels<T> make_kernels() {
  return {vec<T>::lanes,     kRegistersPerPanel * vec<T>::lanes,
          kRowsPerTile,      unit_block<T>(),
          forward_panels<T>, input_gradient_blocks<T>,
          update_blocks<T>,  kdtree_query<T>,
          mixture_rows<T>,   mixture_workspace<T>,
          hills_around<T>,   hills_workspace<T>,
          exp_array<T>,      log_array<T>,
          tanh_array<T>,     2 * kChains * vec<T>::lanes,
          fma_chains<T>};
}
